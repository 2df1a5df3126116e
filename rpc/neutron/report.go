package neutron

import (
	"context"
	"fmt"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

type reportArgs struct {
	AgentState struct {
		AgentState wireAgentState `json:"agent_state"`
	} `json:"agent_state"`
	Time string `json:"time"`
}

// wireAgentState carries no resource_versions: reporting a higher version of
// an object than the server's would break its pushes for everybody.
type wireAgentState struct {
	Binary           string         `json:"binary"`
	Host             string         `json:"host"`
	AvailabilityZone string         `json:"availability_zone,omitempty"`
	Topic            string         `json:"topic"`
	Configurations   map[string]any `json:"configurations"`
	StartFlag        bool           `json:"start_flag,omitempty"`
	AgentType        string         `json:"agent_type"`
}

// reportTime is the server's format: UTC, and a report without the fraction of
// a second is refused.
const reportTime = "2006-01-02T15:04:05.000000"

// ReportState tells the server that this agent is alive (report_state,
// q-reports-plugin 1.2). It returns one of [ReportNew], [ReportAlive],
// [ReportRevived] and [ReportIgnored]. The report tells the time at which it
// leaves: while it waits for a broker it does not age, as one does that the
// server takes for older than its own start.
func (c *Client) ReportState(ctx context.Context, s AgentState) (string, error) {
	var answer string
	err := c.called(ctx, MethodReport, topicReports, "1.2",
		oslo.Late(func() any { return c.reportArgs(s) }), &answer)
	if err != nil {
		return "", err
	}
	switch answer {
	case ReportNew, ReportAlive, ReportRevived, ReportIgnored:
		return answer, nil
	}
	return "", fmt.Errorf("report_state: server answered %q", amqp.Clean(answer))
}

func (c *Client) reportArgs(s AgentState) reportArgs {
	var a reportArgs
	a.Time = c.cfg.Now().UTC().Format(reportTime)
	w := &a.AgentState.AgentState
	*w = wireAgentState{Binary: s.Binary, Host: s.Host, AvailabilityZone: s.AvailabilityZone, Topic: s.Topic,
		Configurations: s.Configurations, StartFlag: s.Start, AgentType: s.AgentType}
	for _, d := range []struct {
		field *string
		value string
	}{
		{&w.Binary, DefaultBinary}, {&w.Host, c.cfg.Host}, {&w.Topic, DefaultAgentTopic}, {&w.AgentType, DefaultAgentType},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if w.Configurations == nil {
		w.Configurations = map[string]any{}
	}
	return a
}
