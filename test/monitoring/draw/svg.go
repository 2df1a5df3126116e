package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Sizes in pixels.
const (
	column, line = 58, 24 // of the grid, 24 columns
	gap          = 6
	foot         = 40
)

// palette is for lines, in turns.
func palette(i int) string {
	colours := []string{"#3274d9", "#e0752d", "#299c46", "#a352cc", "#c4162a", "#0e9ca0", "#8f6d00", "#6d7075"}
	return colours[i%len(colours)]
}

// svg is a picture that is being made.
type svg struct{ bytes.Buffer }

func (s *svg) text(x, y float64, class, format string, args ...any) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" class="%s">%s</text>`+"\n", x, y, class, html.EscapeString(fmt.Sprintf(format, args...)))
}

// draw makes the picture.
func draw(b board, p prometheus, note string) ([]byte, error) {
	bottom := 0
	for _, panel := range b.Panels {
		bottom = max(bottom, panel.GridPos.Y+panel.GridPos.H)
	}
	s := &svg{}
	width, height := 24*column+gap, bottom*line+foot+2*line
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif">
<style>.t{font-size:12px;font-weight:bold;fill:#24292e}.h{font-size:20px;font-weight:bold;fill:#24292e}.r{font-size:14px;font-weight:bold;fill:#57606a}.a{font-size:9px;fill:#57606a}.e{font-size:9px;fill:#57606a;text-anchor:end}.m{font-size:9px;fill:#57606a;text-anchor:middle}.v{font-size:34px;font-weight:bold;fill:#fff;text-anchor:middle}.w{font-size:12px;fill:#fff;text-anchor:middle}</style>
<rect width="100%%" height="100%%" fill="#f4f5f5"/>
`, width, height)
	s.text(gap+4, 30, "h", "%s", b.Title)
	for _, panel := range b.Panels {
		x, y := float64(panel.GridPos.X*column+gap), float64(panel.GridPos.Y*line+gap+2*line)
		w, h := float64(panel.GridPos.W*column-gap), float64(panel.GridPos.H*line-gap)
		var err error
		switch panel.Type {
		case "row":
			s.text(x+4, y+14, "r", "%s", panel.Title)
		case "stat":
			err = s.stat(panel, p, x, y, w, h)
		default:
			err = s.lines(panel, p, x, y, w, h)
		}
		if err != nil {
			return nil, fmt.Errorf("panel %q: %w", panel.Title, err)
		}
	}
	s.text(gap+4, float64(height-24), "a", "%s to %s UTC. Queries, titles and places are the dashboard's (configs/grafana); evaluated by Prometheus, drawn by test/monitoring/draw, not by Grafana.",
		p.start.UTC().Format("2006-01-02 15:04:05"), p.end.UTC().Format("15:04:05"))
	s.text(gap+4, float64(height-10), "a", "%s", note)
	s.WriteString("</svg>\n")
	return s.Bytes(), nil
}

// stat is one number, the last one.
func (s *svg) stat(panel panel, p prometheus, x, y, w, h float64) error {
	all, err := p.ask(panel.Targets[0].Expr)
	if err != nil {
		return err
	}
	text, colour := "no data", "#8e8e8e"
	if len(all) > 0 && len(all[0].value) > 0 {
		v := all[0].value[len(all[0].value)-1]
		text = amount(v, panel.FieldConfig.Defaults.Unit)
		for _, step := range panel.FieldConfig.Defaults.Thresholds.Steps {
			if step.Value == nil || v >= *step.Value {
				colour = map[string]string{"red": "#c4162a", "green": "#299c46", "yellow": "#c69026", "blue": "#3274d9"}[step.Color]
			}
		}
	}
	fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="3" fill="%s"/>`+"\n", x, y, w, h, colour)
	s.text(x+w/2, y+18, "w", "%s", panel.Title)
	s.text(x+w/2, y+h/2+22, "v", "%s", text)
	return nil
}

// drawn is a series with its legend.
type drawn struct {
	series
	name   string
	bottom map[float64]float64 // of a stack, by time
}

// lines is a panel of lines over the time.
func (s *svg) lines(panel panel, p prometheus, x, y, w, h float64) error {
	fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="3" fill="#fff" stroke="#d0d7de"/>`+"\n", x, y, w, h)
	s.text(x+8, y+16, "t", "%s", panel.Title)
	var all []drawn
	for _, target := range panel.Targets {
		found, err := p.ask(target.Expr)
		if err != nil {
			return err
		}
		for _, f := range found {
			all = append(all, drawn{series: f, name: f.legend(target.LegendFormat)})
		}
	}
	unit := panel.FieldConfig.Defaults.Unit
	stacked := panel.FieldConfig.Defaults.Custom.Stacking.Mode == "normal"
	top := stack(all, stacked)
	if top == 0 {
		top = 1
	}
	top *= 1.05
	left, right, up, down := x+46, x+w-10, y+26, y+h-40
	seconds := p.end.Sub(p.start).Seconds()
	px := func(t float64) float64 { return left + (right-left)*t/seconds }
	py := func(v float64) float64 { return down - (down-up)*v/top }
	for i := range 5 {
		v := top / 1.05 * float64(i) / 4
		fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e6e8eb"/>`+"\n", left, py(v), right, py(v))
		s.text(left-4, py(v)+3, "e", "%s", amount(v, unit))
		t := p.start.Add(time.Duration(float64(i) / 4 * seconds * float64(time.Second)))
		class := "m"
		if i == 4 {
			class = "e" // or it would stand beside the panel
		}
		s.text(px(float64(i)/4*seconds), down+12, class, "%s", t.UTC().Format("15:04:05"))
	}
	if len(all) == 0 {
		s.text((left+right)/2, (up+down)/2, "m", "nothing to show (none happened)")
	}
	for i, d := range all {
		s.line(d, palette(i), stacked, px, py)
	}
	s.legends(all, x, y, w, h)
	return nil
}

// stack puts one series on the other, if wanted, and returns the highest value.
func stack(all []drawn, stacked bool) (top float64) {
	sum := map[float64]float64{}
	for i := range all {
		all[i].bottom = map[float64]float64{}
		for j, t := range all[i].at {
			v := all[i].value[j]
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			if stacked {
				all[i].bottom[t] = sum[t]
				sum[t] += v
				v = sum[t]
			}
			top = max(top, v)
		}
	}
	return top
}

func (s *svg) line(d drawn, colour string, stacked bool, px, py func(float64) float64) {
	var up, down []string
	flush := func() {
		if stacked && len(up) > 1 {
			for i, j := 0, len(down)-1; i < j; i, j = i+1, j-1 {
				down[i], down[j] = down[j], down[i]
			}
			fmt.Fprintf(s, `<polygon points="%s" fill="%s" fill-opacity=".3"/>`+"\n", strings.Join(append(append([]string(nil), up...), down...), " "), colour)
		}
		switch len(up) {
		case 0:
		case 1:
			at := strings.Split(up[0], ",")
			fmt.Fprintf(s, `<circle cx="%s" cy="%s" r="1.5" fill="%s"/>`+"\n", at[0], at[1], colour)
		default:
			fmt.Fprintf(s, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.3"/>`+"\n", strings.Join(up, " "), colour)
		}
		up, down = nil, nil
	}
	before := math.Inf(-1)
	for i, t := range d.at {
		v := d.value[i]
		none := math.IsNaN(v) || math.IsInf(v, 0) || stacked && v == 0 // else it would be a line on the one below
		if none || before > 0 && t-before > 3*(d.at[1]-d.at[0]) {
			flush() // a gap
		}
		if none {
			continue
		}
		before = t
		up = append(up, fmt.Sprintf("%.1f,%.1f", px(t), py(d.bottom[t]+v)))
		down = append(down, fmt.Sprintf("%.1f,%.1f", px(t), py(d.bottom[t])))
	}
	flush()
}

func (s *svg) legends(all []drawn, x, y, w, h float64) {
	at, row := x+10, y+h-14
	for i, d := range all {
		size := 22 + 5.2*float64(len(d.name))
		if at+size > x+w && at > x+10 {
			if row > y+h-10 {
				s.text(at, row, "a", "and %d more", len(all)-i)
				return
			}
			at, row = x+10, row+11
		}
		fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="10" height="3" fill="%s"/>`+"\n", at, row-5, palette(i))
		s.text(at+14, row, "a", "%s", d.name)
		at += size
	}
}

// amount writes a value with its unit, short.
func amount(v float64, unit string) string {
	number := func(v float64) string { // three digits
		decimals := 2
		if v >= 100 {
			decimals = 0
		} else if v >= 10 {
			decimals = 1
		}
		text := fmt.Sprintf("%.*f", decimals, v)
		if decimals > 0 {
			text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
		}
		return text
	}
	switch unit {
	case "s":
		switch {
		case v == 0:
			return "0"
		case v < 1e-3:
			return number(v*1e6) + " µs"
		case v < 1:
			return number(v*1e3) + " ms"
		}
		return number(v) + " s"
	case "bytes":
		return number(v/(1<<20)) + " MiB"
	case "percentunit":
		return number(v*100) + " %"
	case "ops":
		return number(v) + "/s"
	}
	return number(v)
}
