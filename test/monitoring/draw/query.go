package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// points is how many a line has.
const points = 150

// prometheus answers queries about a time.
type prometheus struct {
	url        string
	start, end time.Time
	rate       string
}

// series is one line: values at equal steps, NaN where there is none.
type series struct {
	labels map[string]string
	at     []float64 // seconds since the start
	value  []float64
}

// ask evaluates a query over the time.
func (p prometheus) ask(expr string) ([]series, error) {
	expr = strings.NewReplacer("$__rate_interval", p.rate, "$instance", ".*").Replace(expr)
	step := p.end.Sub(p.start) / points
	q := url.Values{
		"query": {expr}, "start": {stamp(p.start)}, "end": {stamp(p.end)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', 3, 64)},
	}
	r, err := http.Get(p.url + "/api/v1/query_range?" + q.Encode())
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", expr, r.Status, err)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s: %s", expr, r.Status, answer.Error)
	}
	var out []series
	for _, result := range answer.Data.Result {
		s := series{labels: result.Metric}
		for _, v := range result.Values {
			t, isNumber := v[0].(float64)
			text, isText := v[1].(string)
			n, err := strconv.ParseFloat(text, 64)
			if !isNumber || !isText || err != nil {
				return nil, fmt.Errorf("%s: %v is no value", expr, v)
			}
			s.at = append(s.at, t-float64(p.start.UnixMilli())/1000)
			s.value = append(s.value, n)
		}
		out = append(out, s)
	}
	return out, nil
}

func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// legend fills a legend in, as Grafana does.
func (s series) legend(format string) string {
	return placeholder.ReplaceAllStringFunc(format, func(m string) string {
		return s.labels[placeholder.FindStringSubmatch(m)[1]]
	})
}
