// Command draw makes a picture (SVG) of the Grafana dashboard in configs/grafana, from
// what a running Prometheus answers to the dashboard's own queries. It is for the
// documentation, where no Grafana can be had: the panels, their places, titles, units,
// thresholds and queries are the file's, the drawing is ours.
//
//	draw -dashboard configs/grafana/neutron-ndp-proxy-agent.json -prometheus http://127.0.0.1:9090 -from 5m -out docs/dashboard.svg
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// board is a dashboard, as far as it is drawn.
type board struct {
	Title  string
	Panels []panel
}

type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
			Custom struct{ Stacking struct{ Mode string } }
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "draw:", err)
		os.Exit(1)
	}
}

func run() error {
	file := flag.String("dashboard", "configs/grafana/neutron-ndp-proxy-agent.json", "the dashboard")
	server := flag.String("prometheus", "http://127.0.0.1:9090", "its URL")
	from := flag.Duration("from", 5*time.Minute, "how far back")
	rate := flag.String("rate", "15s", "$__rate_interval")
	note := flag.String("note", "", "a line below the picture")
	out := flag.String("out", "dashboard.svg", "the picture")
	flag.Parse()
	text, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	var b board
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	end := time.Now()
	p := prometheus{url: *server, start: end.Add(-*from), end: end, rate: *rate}
	alerts, err := p.ask("max_over_time(ALERTS[1s])")
	if err != nil {
		return err
	}
	for _, a := range alerts {
		if _, err := fmt.Fprintln(os.Stdout, a.labels["alertname"], a.labels["alertstate"]); err != nil {
			return err
		}
	}
	picture, err := draw(b, p, *note)
	if err != nil {
		return err
	}
	return os.WriteFile(*out, picture, 0o644)
}
