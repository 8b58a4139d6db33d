// From what Prometheus answered to data frames as Grafana's panels take them. That
// mapping is ours: Grafana's own is in its server and its Prometheus plugin, which
// are not on npm.
import {FieldType, getDisplayProcessor, getFieldDisplayName} from '@grafana/data';

// legend fills in {{label}} as a query's legendFormat has it.
const legend = (format, metric) => format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '');

// values are those of a series at each of the times, null where it has none.
function values(series, times) {
  const at = new Map(series.values.map(([time, value]) => [Math.round(time * 1000), Number(value)]));
  return times.map((time) => at.get(time) ?? null);
}

// last is the value of a series at the end of the run; undefined for one that had
// ended before.
const last = (series, run) => {
  const [time, value] = series.values.at(-1);
  return Math.round(time * 1000) === run.to ? Number(value) : undefined;
};

// finish gives fields their configuration: the panel's, and the overrides that
// match their names.
function finish(frames, {defaults, overrides}, theme) {
  for (const frame of frames) {
    for (const field of frame.fields) {
      if (field.type === FieldType.time) continue;
      const name = getFieldDisplayName(field, frame, frames);
      const config = {...structuredClone(defaults), displayNameFromDS: field.config.displayNameFromDS};
      for (const {properties} of overrides.filter(({matcher}) => matcher.id === 'byName' && matcher.options === name)) {
        for (const {id, value} of properties) {
          if (id.startsWith('custom.')) config.custom = {...config.custom, [id.slice('custom.'.length)]: value};
          else if (id !== 'links') config[id] = value;
        }
      }
      field.config = config;
      field.state = {...field.state, displayName: undefined}; // it was kept, and may be another now
      field.display = getDisplayProcessor({field, theme, timeZone: 'utc'});
    }
  }
  return frames;
}

const number = (name, values, state) => ({name, type: FieldType.number, values, config: {displayNameFromDS: name}, state});

// overTime is a frame for each series of a panel.
export function overTime(panel, run, theme) {
  let index = 0;
  const frames = panel.targets.flatMap((target) => run.of(panel, target).map((series) => ({
    refId: target.refId,
    length: run.times.length,
    fields: [
      {name: 'time', type: FieldType.time, values: run.times, config: {}},
      number(legend(target.legendFormat, series.metric), values(series, run.times), {seriesIndex: index++}),
    ],
  })));
  return finish(frames, panel.fieldConfig, theme);
}

// now is one field with one value, of a panel that shows one; null where there is
// none.
export function now(panel, run, theme) {
  const value = run.of(panel, panel.targets[0]).map((series) => last(series, run))[0] ?? null;
  const [frame] = finish([{length: 1, fields: [number('value', [value])]}], panel.fieldConfig, theme);
  return frame.fields[0];
}

// buckets is a field with one value for each bucket of a histogram, whose counts
// Prometheus adds up from one to the next.
export function buckets(panel, run, theme) {
  const bound = ({metric}) => Number(metric.le.replace('+Inf', 'Infinity'));
  let below = 0;
  const fields = run.of(panel, panel.targets[0]).sort((a, b) => bound(a) - bound(b)).map((series) => {
    const upTo = last(series, run) ?? 0;
    const field = number(series.metric.le, [upTo - below]);
    below = upTo;
    return field;
  });
  const frame = {length: 1, fields};
  finish([frame], panel.fieldConfig, theme);
  return fields.map((field) => ({field, name: getFieldDisplayName(field, frame, [frame])}));
}

// table is what the transformations merge and organize make of a panel's queries.
export function table(panel, run, theme) {
  const {indexByName, renameByName} = panel.transformations.find(({id}) => id === 'organize').options;
  const columns = Object.keys(indexByName).sort((a, b) => indexByName[a] - indexByName[b]);
  const rows = new Map();
  for (const target of panel.targets) {
    for (const series of run.of(panel, target)) {
      const value = last(series, run);
      if (value === undefined) continue;
      const key = `${series.metric.job} ${series.metric.instance} ${series.metric.unit}`;
      rows.set(key, {...rows.get(key), ...series.metric, [`Value #${target.refId}`]: value});
    }
  }
  const {displayName, desc} = panel.options.sortBy[0];
  const by = Object.keys(renameByName).find((column) => renameByName[column] === displayName);
  const sorted = [...rows.values()].sort((a, b) => ((a[by] ?? 0) - (b[by] ?? 0)) * (desc ? -1 : 1));
  const fields = columns.map((column) => ({
    name: renameByName[column] ?? column,
    type: column.startsWith('Value') ? FieldType.number : FieldType.string,
    values: sorted.map((row) => row[column] ?? null),
    config: {},
  }));
  return finish([{length: sorted.length, fields}], panel.fieldConfig, theme)[0];
}
