//! Traces to an OTLP/HTTP collector. They are gathered and sent by a thread of the SDK's own, in bounded batches:
//! what does not fit is dropped, and nobody waits.

use crate::config::telemetry::Telemetry;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use std::time::Duration;
use tracing::{Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// How long the collector may take for one batch.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn provider(
    telemetry: &Telemetry,
    replica: &str,
) -> Result<Option<SdkTracerProvider>, ExporterBuildError> {
    let Some(endpoint) = &telemetry.otlp_endpoint else {
        return Ok(None);
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.to_string().trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()?;
    let resource = Resource::builder()
        .with_service_name("presence")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", replica.to_owned()),
        ])
        .build();
    let kept = Sampler::TraceIdRatioBased(telemetry.sample_ratio);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(kept)))
        .build();
    Ok(Some(provider))
}

pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Our own spans only: those of the libraries that send them would make more of themselves.
    let ours = |metadata: &Metadata<'_>| metadata.target().starts_with("presence");
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("presence"))
        .with_filter(filter_fn(ours))
        .with_filter(LevelFilter::INFO)
}
