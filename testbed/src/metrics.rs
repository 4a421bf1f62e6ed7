//! Prometheus text, as much of it as a picture needs: counters and gauges summed over their labels, histograms' buckets,
//! and what changed between two looks.
use std::collections::BTreeMap;
use std::time::Duration;

/// One look at `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Name with its labels as they stand, and the value.
    samples: BTreeMap<String, f64>,
}

/// What a node did between two looks; a second each. Times are seconds.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub commits: f64,
    pub commit_p50: Option<f64>,
    pub commit_p99: Option<f64>,
    pub fsync_p99: Option<f64>,
    /// Queries and Executes.
    pub statements: f64,
    pub sessions: f64,
    /// Bytes, by the peer's id.
    pub sent: BTreeMap<String, f64>,
}

impl Metrics {
    pub fn parse(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Metrics { samples: lines.filter_map(sample).collect() }
    }

    /// Samples of this name, by their labels.
    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let from = self.samples.range(name.to_owned()..);
        from.take_while(move |(key, _)| key.starts_with(name)).filter_map(move |(key, value)| {
            let labels = &key[name.len()..];
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, *value))
        })
    }

    /// Over all its labels; 0 if the node does not tell it.
    pub fn total(&self, name: &str) -> f64 {
        self.sum(name, |_| true)
    }

    fn sum(&self, name: &str, fits: impl Fn(&str) -> bool) -> f64 {
        self.of(name).filter(|(labels, _)| fits(labels)).map(|(_, value)| value).sum()
    }
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = labels.split_once(&format!("{name}=\""))?;
    after.split_once('"').map(|(value, _)| value)
}

impl Rates {
    pub fn between(before: &Metrics, now: &Metrics, passed: Duration) -> Rates {
        let seconds = passed.as_secs_f64().max(1e-3);
        // A process that started anew counts from 0.
        let rate =
            |name: &str, fits: &dyn Fn(&str) -> bool| (now.sum(name, fits) - before.sum(name, fits)).max(0.0) / seconds;
        let is = |name: &'static str, value: &'static str| move |labels: &str| label(labels, name) == Some(value);
        let mut sent = BTreeMap::new();
        for (labels, value) in now.of("trivet_transport_sent_bytes_total") {
            let Some(peer) = label(labels, "peer") else { continue };
            let former =
                before.samples.get(&format!("trivet_transport_sent_bytes_total{labels}")).copied().unwrap_or(0.0);
            *sent.entry(peer.to_owned()).or_default() += (value - former).max(0.0) / seconds;
        }
        Rates {
            commits: rate("trivet_proposals_total", &is("outcome", "committed")),
            commit_p50: quantile(before, now, "trivet_commit_seconds_bucket", 0.5),
            commit_p99: quantile(before, now, "trivet_commit_seconds_bucket", 0.99),
            fsync_p99: quantile(before, now, "trivet_fsync_seconds_bucket", 0.99),
            statements: rate("trivet_gateway_messages_total", &is("type", "Q"))
                + rate("trivet_gateway_messages_total", &is("type", "E")),
            sessions: now.sum("trivet_gateway_sessions", |_| true),
            sent,
        }
    }
}

/// Of what came between two looks; within a bucket, in proportion, as Prometheus does.
fn quantile(before: &Metrics, now: &Metrics, name: &str, share: f64) -> Option<f64> {
    let buckets = |metrics: &Metrics| {
        let mut all: Vec<(f64, f64)> = metrics
            .of(name)
            .filter_map(|(labels, count)| Some((label(labels, "le")?.replace("+Inf", "inf").parse().ok()?, count)))
            .collect();
        all.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        all
    };
    let former = buckets(before);
    let counts: Vec<(f64, f64)> = buckets(now)
        .into_iter()
        .map(|(bound, count)| {
            let was = former.iter().find(|(other, _)| *other == bound).map_or(0.0, |(_, count)| *count);
            (bound, (count - was).max(0.0))
        })
        .collect();
    let total = counts.last().map(|(_, count)| *count).filter(|total| *total > 0.0)?;
    let rank = share * total;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in counts {
        if count >= rank && count > below {
            if bound.is_infinite() {
                return Some(low);
            }
            return Some(low + (bound - low) * (rank - below) / (count - below));
        }
        (low, below) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(commits: u64, fast: u64, slow: u64) -> Metrics {
        let all = fast + slow;
        Metrics::parse(&format!(
            "# TYPE trivet_proposals_total counter\n\
             trivet_proposals_total{{outcome=\"committed\"}} {commits}\n\
             trivet_proposals_total{{outcome=\"rejected\"}} 7\n\
             trivet_gateway_messages_total{{type=\"Q\"}} {commits}\n\
             trivet_gateway_messages_total{{type=\"P\"}} 999\n\
             trivet_gateway_sessions 3\n\
             trivet_commit_seconds_bucket{{le=\"0.05\"}} {fast}\n\
             trivet_commit_seconds_bucket{{le=\"0.1\"}} {all}\n\
             trivet_commit_seconds_bucket{{le=\"+Inf\"}} {all}\n\
             trivet_commit_seconds_count {all}\n\
             trivet_transport_sent_bytes_total{{peer=\"2\",class=\"append\"}} {commits}000\n\
             trivet_transport_sent_bytes_total{{peer=\"2\",class=\"urgent\"}} 100\n"
        ))
    }

    #[test]
    fn rates_are_of_what_came_between() {
        let rates = Rates::between(&text(100, 1000, 0), &text(300, 1000, 200), Duration::from_secs(2));
        assert_eq!((rates.commits, rates.statements, rates.sessions), (100.0, 100.0, 3.0));
        assert_eq!(rates.sent, [("2".to_owned(), 100_000.0)].into());
        assert!((rates.commit_p50.expect("there were some") - 0.075).abs() < 1e-9, "{rates:?}");
        assert_eq!(rates.fsync_p99, None);
        let anew = Rates::between(&text(300, 1000, 200), &text(5, 1, 0), Duration::from_secs(1));
        assert_eq!((anew.commits, anew.commit_p50), (0.0, None));
    }
}
