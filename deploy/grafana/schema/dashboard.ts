// What haproxy-reaper.json may be made of, in the words of Grafana's own published
// types. They leave the options of a panel open, since these depend on its type:
// here each type of panel that we use gets its own.
import type {AnnotationQuery, Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel} from '@grafana/grafana-foundation-sdk/dashboard';
import type {Dataquery} from '@grafana/grafana-foundation-sdk/prometheus';
import type {Options as BarGaugeOptions} from '@grafana/grafana-foundation-sdk/bargauge';
import type {Options as StatOptions} from '@grafana/grafana-foundation-sdk/stat';
import type {Options as StateTimelineOptions, FieldConfig as StateTimelineFieldConfig} from '@grafana/grafana-foundation-sdk/statetimeline';
import type {Options as TableOptions, FieldConfig as TableFieldConfig} from '@grafana/grafana-foundation-sdk/table';
import type {Options as TimeSeriesOptions, FieldConfig as TimeSeriesFieldConfig} from '@grafana/grafana-foundation-sdk/timeseries';

// The method marks the type in TypeScript, and is not written.
type Query = Omit<Dataquery, '_implementsDataqueryVariant'>;

type Typed<Type extends string, Options, Custom> = Omit<Panel, 'type' | 'targets' | 'options' | 'fieldConfig'> & {
  type: Type;
  targets: Query[];
  options: Options;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & {defaults: Omit<FieldConfig, 'custom'> & {custom?: Custom}};
};

type AnyPanel =
  | RowPanel
  | Typed<'bargauge', BarGaugeOptions, {}>
  | Typed<'stat', StatOptions, {}>
  | Typed<'state-timeline', StateTimelineOptions, StateTimelineFieldConfig>
  | Typed<'table', TableOptions, TableFieldConfig>
  | Typed<'timeseries', TimeSeriesOptions, TimeSeriesFieldConfig>;

export type PrometheusDashboard = Omit<Dashboard, 'panels' | 'annotations'> & {
  panels: AnyPanel[];
  annotations: {list: Omit<AnnotationQuery, 'target'>[]};
};
