//! Certificates that change while the process runs: their files are looked at now and then, and at a SIGHUP at once.
//!
//! A certificate and its key are two files, replaced one after the other. So a change is taken up once two looks found the
//! same; a SIGHUP does not wait for that. What cannot be used is said once, as an error, and what was in use stays in use.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use trivet_transport::inspect::Day;

const LOOK_EVERY: Duration = Duration::from_secs(3);
/// An end that is near is said so often.
const REMIND_EVERY: Duration = Duration::from_secs(24 * 3600);
const REMIND_BEFORE: i64 = 14 * 24 * 3600;

/// What the files held, a number each; none for one that does not read.
type Contents = Vec<Option<u64>>;

/// When to take files up again.
#[derive(Debug)]
pub struct FileWatch {
    files: Vec<PathBuf>,
    /// What was taken up last, or refused.
    tried: Contents,
    seen: Contents,
}

impl FileWatch {
    /// Make it before the files are read for the first time: a change after that is noticed.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> FileWatch {
        let files: Vec<PathBuf> = files.into_iter().collect();
        let now = contents(&files);
        FileWatch { files, tried: now.clone(), seen: now }
    }

    /// Whether to take them up now.
    fn look(&mut self, asked: bool) -> bool {
        let now = contents(&self.files);
        let settled = now == self.seen;
        self.seen = now;
        let due = asked || (settled && self.seen != self.tried);
        if due {
            self.tried = self.seen.clone();
        }
        due
    }

    /// Starts the thread that looks; `take_up` reads the files and says until when what is in them is valid. Ends when the
    /// result is dropped.
    pub fn spawn(
        mut self,
        what: &'static str,
        expiry: Day,
        mut take_up: impl FnMut() -> Result<Day, String> + Send + 'static,
    ) -> std::io::Result<Reload> {
        let (ask, asked) = mpsc::channel::<mpsc::Sender<Result<Day, String>>>();
        let look = move || {
            let mut reminder = Reminder { what, expiry, said: None };
            reminder.look();
            loop {
                let asker = match asked.recv_timeout(LOOK_EVERY) {
                    Ok(asker) => Some(asker),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                if self.look(asker.is_some()) {
                    let taken = take_up();
                    match &taken {
                        Ok(until) => {
                            tracing::info!("{what}: read again, for connections from now on; valid until {until}");
                            reminder = Reminder { what, expiry: *until, said: None };
                        }
                        Err(error) => tracing::error!("{what}: not taken up, the former stays in use: {error}"),
                    }
                    if let Some(asker) = asker {
                        let _ = asker.send(taken); // it may have stopped waiting
                    }
                }
                reminder.look();
            }
        };
        std::thread::Builder::new().name("trivet-watch".to_owned()).spawn(look)?;
        Ok(Reload { ask })
    }
}

fn contents(files: &[PathBuf]) -> Contents {
    let number = |path: &PathBuf| {
        let mut hasher = DefaultHasher::new();
        std::fs::read(path).ok()?.hash(&mut hasher);
        Some(hasher.finish())
    };
    files.iter().map(number).collect()
}

/// Asks a [`FileWatch`] to look at once. It looks for as long as one of these is there.
#[derive(Clone, Debug)]
pub struct Reload {
    ask: mpsc::Sender<mpsc::Sender<Result<Day, String>>>,
}

impl Reload {
    /// Takes the files up whether or not they changed; what came of it is in the log too.
    pub fn now(&self) -> Result<Day, String> {
        let (answer, wait) = mpsc::channel();
        let gone = || "the watch has ended".to_owned();
        self.ask.send(answer).map_err(|_| gone())?;
        wait.recv().map_err(|_| gone())?
    }
}

/// Says once a day that the end is near.
struct Reminder {
    what: &'static str,
    expiry: Day,
    said: Option<Instant>,
}

impl Reminder {
    fn look(&mut self) {
        let left = self.expiry.0 - Day::now().0;
        if left < REMIND_BEFORE && self.said.is_none_or(|at| at.elapsed() > REMIND_EVERY) {
            self.said = Some(Instant::now());
            match left {
                0.. => tracing::warn!("{}: valid until {} only, issue another", self.what, self.expiry),
                _ => tracing::error!("{}: expired at {}, no new connection can be made", self.what, self.expiry),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_up_once_it_has_settled() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        let write = |path: &PathBuf, text: &str| std::fs::write(path, text).expect("written");
        write(&one, "certificate 1");
        write(&two, "key 1");
        let mut watch = FileWatch::new([one.clone(), two.clone()]);
        assert!(!watch.look(false), "nothing changed");
        write(&one, "certificate 2");
        assert!(!watch.look(false), "half of a change");
        write(&two, "key 2");
        assert!(!watch.look(false), "all of it, just now");
        assert!(watch.look(false), "it has settled");
        assert!(!watch.look(false), "once");
        std::fs::remove_file(&one).expect("removed");
        assert!(!watch.look(false) && watch.look(false), "a file that is gone is a change: taking it up will say so");
        assert!(!watch.look(false), "and is said once");
        write(&one, "certificate 3");
        assert!(watch.look(true), "asked for");
        assert!(!watch.look(false));
    }

    #[test]
    fn asking_tells_what_came_of_it() {
        let watch = FileWatch::new([]);
        let mut answers = vec![Err("no".to_owned()), Ok(Day(5_000_000_000))];
        let reload = watch.spawn("a test", Day(5_000_000_000), move || answers.pop().expect("asked twice"));
        let reload = reload.expect("a thread");
        assert_eq!(reload.now(), Ok(Day(5_000_000_000)));
        assert_eq!(reload.now(), Err("no".to_owned()));
    }
}
