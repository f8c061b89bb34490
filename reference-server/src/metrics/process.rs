//! What the process takes of its machine, under the names that Prometheus has for it.

use mcp_runtime::Metrics;

/// Registers them. They are read when somebody reads the figures.
pub(crate) fn count_in(metrics: &Metrics) {
    #[cfg(target_os = "linux")]
    linux::count_in(metrics);
    #[cfg(not(target_os = "linux"))]
    let _ = metrics;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use mcp_runtime::Metrics;
    use rustix::time::{ClockId, clock_gettime};

    pub(super) fn count_in(metrics: &Metrics) {
        metrics.gauge_of(
            "process_resident_memory_bytes",
            "Memory that is in use, in bytes.",
            &[],
            || field("VmRSS:").map_or(f64::NAN, |kib| kib * 1024.0),
        );
        metrics.gauge_of("process_threads", "Threads.", &[], || {
            field("Threads:").unwrap_or(f64::NAN)
        });
        metrics.gauge_of("process_open_fds", "Open file descriptors.", &[], || {
            fs::read_dir("/proc/self/fd").map_or(f64::NAN, |open| open.count() as f64)
        });
        metrics.counter_of(
            "process_cpu_seconds_total",
            "Time that the process has spent on its processors, in seconds.",
            &[],
            || {
                let time = clock_gettime(ClockId::ProcessCPUTime);
                time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
            },
        );
    }

    /// A number of `/proc/self/status`.
    fn field(name: &str) -> Option<f64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    }
}
