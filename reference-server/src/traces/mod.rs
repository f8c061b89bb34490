//! Logs, and spans for a collector of traces where one is configured.
//!
//! A call, the requests it makes and those that the platform answers are spans of `tracing`, with
//! their ids of W3C Trace Context as fields. The log shows them; the feature `otlp` also sends them.

#[cfg(feature = "otlp")]
mod otlp;

use mcp_runtime::{Result, TraceId, init_logs};

use crate::config::Config;

/// Sends what is left to be sent when it is dropped.
pub(crate) struct Traces {
    #[cfg(feature = "otlp")]
    _exporter: Option<otlp::Exporter>,
}

/// Sends logs to standard error, and spans to the collector. Within a runtime of tokio.
///
/// # Errors
/// When the collector that is configured cannot be used.
pub(crate) fn init(config: &Config) -> Result<Traces> {
    let collector = config.collector()?;
    #[cfg(feature = "otlp")]
    if let Some(endpoint) = collector {
        return Ok(Traces {
            _exporter: Some(otlp::init(config, &endpoint)?),
        });
    }
    #[cfg(not(feature = "otlp"))]
    let _ = collector;
    init_logs(config.log_format(), &config.log.filter);
    Ok(Traces {
        #[cfg(feature = "otlp")]
        _exporter: None,
    })
}

/// Whether we record this trace. Ours to decide, whatever a client says.
pub(crate) fn is_sampled(trace: TraceId) -> bool {
    #[cfg(feature = "otlp")]
    return otlp::is_sampled(trace);
    #[cfg(not(feature = "otlp"))]
    {
        let _ = trace;
        false
    }
}
