// What any Node.js program does with OpenTelemetry's SDK: spans, metrics and logs to the collector, once.
// Usage: node client.mjs grpc|http-proto|http-json ENDPOINT none|gzip delta|cumulative
// Prints {"trace_id": …, "span_id": …}; exits with 1 and the error when an export fails.
import { SpanKind, SpanStatusCode, trace, context } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import { AggregationTemporality, AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';

const [transport, endpoint, compression, temporality] = process.argv.slice(2);
const failures = [];

/** An exporter of one signal, which remembers what went wrong. */
async function exporter(signal, name, more = {}) {
  const kind = { grpc: 'grpc', 'http-proto': 'proto', 'http-json': 'http' }[transport];
  const url = transport === 'grpc' ? endpoint : `${endpoint}/v1/${signal}`;
  const module = await import(`@opentelemetry/exporter-${signal === 'traces' ? 'trace' : signal}-otlp-${kind}`);
  const made = new module[name]({ url, compression: CompressionAlgorithm[compression.toUpperCase()], ...more });
  const send = made.export.bind(made);
  made.export = (items, done) => send(items, (result) => {
    if (result.error) failures.push(`${signal}: ${result.error.code} ${result.error.message}`);
    done(result);
  });
  return made;
}

const resource = resourceFromAttributes({ 'service.name': 'node-client', 'service.instance.id': transport });

const tracing = new BasicTracerProvider({
  resource,
  spanProcessors: [new SimpleSpanProcessor(await exporter('traces', 'OTLPTraceExporter'))],
});
const tracer = tracing.getTracer('node-plugin', '2.1.0');
const cause = tracer.startSpan('cause');
cause.end();
const outer = tracer.startSpan('outer', {
  kind: SpanKind.SERVER,
  links: [{ context: cause.spanContext(), attributes: { why: 'it began it' } }],
  attributes: { 'plugin.id': 'node-plugin', whole: 7, broken: 0.5, yes: true, list: ['a', 'b'] },
});
outer.addEvent('halfway', { percent: 50 });
outer.recordException(new TypeError('of no use'));
outer.setStatus({ code: SpanStatusCode.ERROR, message: 'it failed' });
tracer.startSpan('inner', {}, trace.setSpan(context.active(), outer)).end();
outer.end();
await tracing.forceFlush();

const reader = new PeriodicExportingMetricReader({
  exporter: await exporter('metrics', 'OTLPMetricExporter', {
    temporalityPreference: AggregationTemporality[temporality.toUpperCase()],
  }),
  exportIntervalMillis: 60_000,
});
const metering = new MeterProvider({
  resource,
  readers: [reader],
  views: [{ instrumentName: 'exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const meter = metering.getMeter('node-plugin');
meter.createCounter('counted', { unit: '{thing}' }).add(3, { path: '/' });
meter.createUpDownCounter('depth').add(-2);
meter.createGauge('level').record(0.25);
meter.createHistogram('explicit', { advice: { explicitBucketBoundaries: [1, 2] } }).record(1.5);
const exponential = meter.createHistogram('exponential', { unit: 's' });
for (const value of [0, 0.001, 0.001, 5]) exponential.record(value);
await metering.forceFlush();

const logging = new LoggerProvider({
  resource,
  processors: [new SimpleLogRecordProcessor({ exporter: await exporter('logs', 'OTLPLogExporter') })],
});
logging.getLogger('node-plugin').emit({
  severityNumber: SeverityNumber.ERROR,
  severityText: 'ERROR',
  eventName: 'app.failed',
  body: { text: 'it failed', parts: [1, { deep: true }] },
  attributes: { 'exception.type': 'TypeError', 'exception.message': 'of no use', nested: { a: [1, 'two'] } },
  context: trace.setSpan(context.active(), outer),
});
await logging.forceFlush();

await Promise.all([tracing.shutdown(), metering.shutdown(), logging.shutdown()]);
if (failures.length) {
  console.error(failures.join('\n'));
  process.exit(1);
}
console.log(JSON.stringify({ trace_id: outer.spanContext().traceId, span_id: outer.spanContext().spanId }));
