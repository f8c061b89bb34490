//! Spans to a collector, by OTLP over HTTP in protobuf.
//!
//! The ids of our spans are in their fields, made where the call begins and sent to whoever it
//! asks; this turns a span that ends into one of OpenTelemetry with just these ids. Spans without
//! them, like those of a library, are a part of the span around them and are not sent.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use mcp_runtime::{BootError, Clock, LogFormat, Result};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::Config;

/// How long the collector may take, for each batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// Spans that wait to be sent; more are dropped.
const WAITING: usize = 4096;
/// The largest answer of a collector that is read.
const MAX_ANSWER: usize = 64 << 10;
/// Attributes of one span; none is longer than this.
const MAX_TEXT: usize = 256;

/// The targets of our spans.
const TARGETS: [&str; 3] = ["mcp::call", "mcp::backend", "platform::request"];

static SAMPLER: OnceLock<Sampler> = OnceLock::new();

/// Which traces are recorded. By a hash that nobody outside knows, so that no client chooses.
struct Sampler {
    share: f64,
    hash: RandomState,
}

pub(super) fn is_sampled(trace: mcp_runtime::TraceId) -> bool {
    SAMPLER
        .get()
        .is_some_and(|sampler| sampler.takes(trace.to_bytes()))
}

impl Sampler {
    fn takes(&self, trace: [u8; 16]) -> bool {
        let drawn = self.hash.hash_one(trace) as f64 / u64::MAX as f64;
        self.share >= 1.0 || drawn < self.share
    }
}

/// What sends the spans; the rest of them when it is dropped.
pub(super) struct Exporter(std::sync::Arc<BatchSpanProcessor>);

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last spans may be lost");
        }
    }
}

/// Sends logs to standard error as ever, and spans to `endpoint`.
pub(super) fn init(config: &Config, endpoint: &str) -> Result<Exporter> {
    let filter =
        || EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&config.log.filter));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format() {
        LogFormat::Human => Box::new(lines.with_ansi(false).with_filter(filter())),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_filter(filter())),
    };
    let processor = std::sync::Arc::new(processor(config, endpoint)?);
    // What is logged does not decide what is traced. By targets alone: `tracing::enabled!` asks with
    // what is neither span nor event, and its answer must hold for the span that follows.
    let ours = tracing_subscriber::filter::filter_fn(|meta| TARGETS.contains(&meta.target()));
    let spans = Spans {
        processor: std::sync::Arc::clone(&processor),
        clock: Clock::system(),
    }
    .with_filter(ours);
    let _ = SAMPLER.set(Sampler {
        share: f64::from(config.traces.sample_percent) / 100.0,
        hash: RandomState::new(),
    });
    let all = Registry::default().with(lines).with(spans);
    // A second call, as of a test in the same process, changes nothing.
    let _ = subscriber::set_global_default(all);
    Ok(Exporter(processor))
}

fn processor(config: &Config, endpoint: &str) -> Result<BatchSpanProcessor> {
    let told = |error: &dyn fmt::Display| {
        BootError::new(format!("traces.otlp_endpoint cannot be used: {error}"))
    };
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| told(&error))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client {
            client,
            runtime: tokio::runtime::Handle::current(),
        })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| told(&error))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(WAITING)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let mut processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name(config.traces.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    processor.set_resource(&resource);
    Ok(processor)
}

/// The client of the workspace, for a thread that is none of tokio's.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(
        &self,
        request: Request<Bytes>,
    ) -> std::result::Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let mut answer = client.execute(request).await?;
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await? {
                if body.len() + piece.len() > MAX_ANSWER {
                    break;
                }
                body.extend_from_slice(&piece);
            }
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = answer.status();
            Ok::<_, reqwest::Error>(response)
        });
        Ok(sent.await?.map_err(reqwest::Error::without_url)?)
    }
}

/// Makes a span of OpenTelemetry of each that ends.
struct Spans {
    processor: std::sync::Arc<BatchSpanProcessor>,
    clock: Clock,
}

/// What is known of a span that has not ended.
struct Open {
    since: SystemTime,
    ids: Ids,
    attributes: Vec<KeyValue>,
    failed: bool,
}

#[derive(Default)]
struct Ids {
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut open = Open {
            since: self.clock.now().into(),
            ids: Ids::default(),
            attributes: Vec::new(),
            failed: false,
        };
        attributes.record(&mut open);
        let Some(span) = context.span(id) else {
            return;
        };
        let sampler = SAMPLER.get();
        let trace = open.ids.trace.map(TraceId::to_bytes);
        if trace.is_some_and(|trace| sampler.is_some_and(|sampler| sampler.takes(trace))) {
            span.extensions_mut().insert(open);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(open);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(open) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        if let Some(span) = open.finish(span.metadata(), self.clock.now().into()) {
            self.processor.on_end(span);
        }
    }
}

impl Open {
    fn finish(self, meta: &tracing::Metadata<'_>, end_time: SystemTime) -> Option<SpanData> {
        let (Some(trace), Some(span)) = (self.ids.trace, self.ids.span) else {
            return None;
        };
        let kind = match meta.target() {
            "mcp::backend" => SpanKind::Client,
            _ => SpanKind::Server,
        };
        Some(SpanData {
            span_context: SpanContext::new(
                trace,
                span,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: self.ids.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: self.ids.parent.is_some() && kind == SpanKind::Server,
            span_kind: kind,
            name: meta.name().to_owned().into(),
            start_time: self.since,
            end_time,
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match self.failed {
                true => Status::error(""),
                false => Status::Unset,
            },
            instrumentation_scope: InstrumentationScope::builder("mcp-runtime").build(),
        })
    }

    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "trace_id" => self.ids.trace = TraceId::from_hex(text).ok(),
            "span_id" => self.ids.span = SpanId::from_hex(text).ok(),
            "parent_span_id" => self.ids.parent = SpanId::from_hex(text).ok(),
            name => {
                self.failed |= name == "outcome" && !matches!(text, "ok" | "asks");
                let text: String = text.chars().take(MAX_TEXT).collect();
                self.attributes.push(KeyValue::new(name, text));
            }
        }
    }
}

impl Visit for Open {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.failed |= field.name() == "status" && value >= 500;
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}
