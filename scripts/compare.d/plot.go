package main

import (
	"image/color"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/haproxy-reaper/haproxy-reaper/scripts/measured"
)

// colors are told apart by those who see red and green alike, too.
var colors = []color.Color{
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x00, 0x72, 0xb2, 0xff},
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, color.RGBA{0xcc, 0x79, 0xa7, 0xff},
}

// drawing is one picture with several lines, on a scale where a peak of thousands
// leaves something to see of the others.
type drawing struct {
	*plot.Plot
	lines int
}

func newDrawing(title, x, y string) *drawing {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.BackgroundColor = color.White
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Padding = true, vg.Points(3)
	p.Add(plotter.NewGrid())
	return &drawing{Plot: p}
}

// add draws a line of steps.
func (d *drawing) add(name string, points plotter.XYs) error {
	line, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	line.StepStyle = plotter.PostStep
	line.Color, line.Width = colors[d.lines%len(colors)], vg.Points(1.5)
	d.lines++
	d.Add(line)
	d.Legend.Add(name, line)
	return nil
}

// onLog is a count where a logarithm can show it: none is drawn as just below one.
func onLog(n float64) float64 { return max(n, 0.8) }

func drawRuns(path string, s settings, runs []outcome) error {
	d := newDrawing(measured.Thousands(s.clients)+" clients that reconnect at once, when the old worker goes", "seconds after the first is cut off", "reconnects a second")
	for _, o := range runs {
		points := plotter.XYs{}
		counts := append(o.bins(), 0)
		const window = int(time.Second / bin)
		for i := 0; i < len(counts); i += window {
			sum := 0
			for _, n := range counts[i:min(len(counts), i+window)] {
				sum += n
			}
			points = append(points, plotter.XY{X: float64(i) * bin.Seconds(), Y: onLog(float64(sum))})
		}
		points = append(points, plotter.XY{X: float64(len(counts)+window) * bin.Seconds(), Y: onLog(0)})
		if err := d.add(o.name, points); err != nil {
			return err
		}
	}
	return d.Save(8*vg.Inch, 4*vg.Inch, path)
}

// drawFleet draws the fleets of the middle size.
func drawFleet(path string, fleets []fleet) error {
	hosts := fleetSizes[len(fleetSizes)/2]
	d := newDrawing(measured.Thousands(hosts)+" hosts that are reloaded in the same second (simulated)", "minutes after the reload", "reconnects in the worst second of a minute")
	for i := range fleets {
		f := &fleets[i]
		if f.hosts != hosts {
			continue
		}
		points := plotter.XYs{}
		const window = 60 // seconds; of these the worst
		for at := int(deadline.Seconds()) - 60; at < len(f.perSecond); at += window {
			worst := 0
			for _, n := range f.perSecond[at:min(len(f.perSecond), at+window)] {
				worst = max(worst, n)
			}
			points = append(points, plotter.XY{X: float64(at) / 60, Y: onLog(float64(worst))})
		}
		if err := d.add(f.name, points); err != nil {
			return err
		}
	}
	return d.Save(8*vg.Inch, 4*vg.Inch, path)
}
