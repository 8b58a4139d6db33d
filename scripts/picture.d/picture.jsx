// The dashboard as a page: each panel of deploy/grafana/haproxy-reaper.json drawn by
// the component that Grafana draws it with, from what Prometheus answered.
import React from 'react';
import {flushSync} from 'react-dom';
import {createRoot} from 'react-dom/client';
import {createTheme, dateTime, ThemeContext} from '@grafana/data';
import {BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater} from '@grafana/ui';
import {TableNG} from '@grafana/ui/unstable';
import dashboard from '../../deploy/grafana/haproxy-reaper.json';
import shown from 'DATA';
import {buckets, now, overTime, table} from './frames.js';

const theme = createTheme({colors: {mode: 'dark'}});
// Grafana's grid: 24 columns, rows of 30 pixels, 8 between panels.
const width = 1600, rowHeight = 38, gap = 8, column = (width - gap) / 24;

const times = [...new Set(shown.flatMap(({series}) => series ?? []).flatMap(({values}) => values.map(([t]) => Math.round(t * 1000))))].sort((a, b) => a - b);
const run = {
  times,
  from: times[0],
  to: times.at(-1),
  answers: new Map(shown.map(({where, series}) => [where, series ?? []])),
  of(panel, target) {
    return this.answers.get(`panel "${panel.title}", query ${target.refId}`);
  },
};
const timeRange = {from: dateTime(run.from), to: dateTime(run.to), raw: {from: dateTime(run.from), to: dateTime(run.to)}};

// marks are the moments that annotations mark, with their colours.
const marks = dashboard.annotations.list.filter(({expr}) => expr).flatMap(({name, iconColor, useValueForTime}) => {
  const color = theme.visualization.getColorByName(iconColor);
  return run.answers.get(`annotation "${name}"`).flatMap(({values}) => {
    const moments = values.map(([time, value]) => useValueForTime ? Number(value) : time * 1000);
    // What follows at the next step belongs to the same mark.
    return moments.filter((time, i) => i === 0 || time - moments[i - 1] > 2.5 * (run.times[1] - run.times[0]))
      .map((time) => ({time, color}));
  });
}).filter(({time}) => time >= run.from && time <= run.to);

function drawMarks(plot) {
  const {ctx, bbox} = plot;
  ctx.save();
  for (const {time, color} of marks) {
    const x = Math.round(plot.valToPos(time, 'x', true));
    ctx.strokeStyle = ctx.fillStyle = color;
    ctx.setLineDash([4, 4]);
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x - 5, bbox.top + bbox.height + 6);
    ctx.lineTo(x + 5, bbox.top + bbox.height + 6);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.fill();
  }
  ctx.restore();
}

const marked = new WeakSet();
const annotated = (builder) => {
  if (!marked.has(builder)) builder.addHook('draw', drawMarks);
  marked.add(builder);
  return null;
};

const draw = {
  stat: (panel, w, h) => {
    const field = now(panel, run, theme);
    const {colorMode, graphMode, justifyMode} = panel.options;
    return <BigValue theme={theme} width={w} height={h} value={field.display(field.values[0])} {...{colorMode, graphMode, justifyMode}} />;
  },
  timeseries: (panel, w, h) => (
    <TimeSeries frames={overTime(panel, run, theme)} width={w} height={h} timeRange={timeRange} timeZone="utc"
      legend={panel.options.legend} options={panel.options}>{annotated}</TimeSeries>
  ),
  table: (panel, w, h) => <TableNG data={table(panel, run, theme)} width={w} height={h} cellHeight={panel.options.cellHeight} />,
  bargauge: (panel, w, h) => {
    const all = buckets(panel, run, theme);
    const most = Math.max(1, ...all.map(({field}) => field.values[0]));
    const {displayMode, valueMode, namePlacement, showUnfilled} = panel.options;
    return <VizRepeater width={w} height={h} source={all} renderCounter={0} orientation="horizontal" minVizHeight={panel.options.minVizHeight}
      getValues={() => all} itemSpacing={6} renderValue={({value: {field, name}, width, height}) => (
        <BarGauge theme={theme} width={width} height={height} orientation="horizontal" field={{...field.config, max: most}} display={field.display}
          value={{...field.display(field.values[0]), title: name}} valueDisplayMode={valueMode} {...{displayMode, namePlacement, showUnfilled}}
          alignmentFactors={{title: 'up to 30 minutes', text: '100'}} />
      )} />;
  },
  // The one that is not published: a bar for each state that lasts.
  'state-timeline': (panel, w, h) => (
    <div style={{display: 'grid', gridTemplateColumns: `200px ${w - 200}px`, alignItems: 'center', width: w, height: h, fontSize: 12}}>
      {overTime(panel, run, theme).map(({fields: [, field]}) => (
        <React.Fragment key={field.config.displayNameFromDS}>
          <span>{field.config.displayNameFromDS}</span>
          <svg width={w - 200} height={h / 4} viewBox={`0 0 ${run.times.length} 1`} preserveAspectRatio="none" shapeRendering="crispEdges">
            {field.values.map((value, i) => value !== null && <rect key={i} x={i} width="1" height="1" fill={field.display(value).color} />)}
          </svg>
        </React.Fragment>
      ))}
    </div>
  ),
};

function Panel({panel}) {
  const {x, y, w, h} = panel.gridPos;
  const at = {position: 'absolute', left: x * column + gap, top: y * rowHeight + gap};
  if (panel.type === 'row') return <h4 style={{...at, margin: '6px 0', fontSize: 16, fontWeight: 500}}>⌄ {panel.title}</h4>;
  return (
    <div style={at}>
      <PanelChrome title={panel.title} width={w * column - gap} height={h * rowHeight - gap}>
        {(innerWidth, innerHeight) => draw[panel.type](panel, innerWidth, innerHeight)}
      </PanelChrome>
    </div>
  );
}

const bottom = Math.max(...dashboard.panels.map(({gridPos: {y, h}}) => y + h)) * rowHeight + gap;
const height = bottom + rowHeight;
const page = document.body.appendChild(document.createElement('div'));
flushSync(() => createRoot(page).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <div style={{position: 'relative', width, height, background: theme.colors.background.canvas, color: theme.colors.text.primary}}>
      {dashboard.panels.map((panel) => <Panel key={panel.id} panel={panel} />)}
      <div style={{position: 'absolute', top: bottom, width, textAlign: 'center', color: theme.colors.text.secondary}}>
        Not a screenshot of Grafana: drawn by scripts/picture with Grafana's panel components, from a real run of HAProxy, haproxy-reaper and Prometheus.
      </div>
    </div>
  </ThemeContext.Provider>,
));
document.title = `${width},${height}`;
