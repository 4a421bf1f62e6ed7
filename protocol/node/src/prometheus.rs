//! The metrics recorder that the binaries install: histograms with buckets (so that they add up over nodes), rendered
//! on request, tidied in the background whether or not anybody asks.
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use std::sync::Arc;
use std::time::Duration;

const SECONDS: [f64; 17] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Samples wait in memory until they are sorted into buckets.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Installs it for this process. Call once, before a node is started; the result renders the text of now.
pub fn install() -> Result<Arc<dyn Fn() -> String + Send + Sync>, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_inputs".to_owned()), &COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_persists".to_owned()), &COUNTS)?
        .install_recorder()?;
    let tidied = handle.clone();
    let tidy = move || {
        loop {
            std::thread::sleep(TIDY_EVERY);
            tidied.run_upkeep();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("trivet-metrics".to_owned()).spawn(tidy) {
        tracing::warn!("metrics are tidied only when they are asked for: {error}");
    }
    Ok(Arc::new(move || handle.render()))
}
