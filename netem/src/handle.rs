//! Control from inside the process, and the player of fault scripts.
use crate::backend::Backend;
use crate::control::*;
use crate::script::Script;
use crate::settings::Direction;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Instant;

/// A handle on a running backend; clones control the same one.
#[derive(Clone, Debug)]
pub struct Control {
    backend: Arc<dyn Backend>,
    playing: Arc<Playing>,
}

/// Which script runs. A player stops as soon as the generation is no longer its own.
#[derive(Debug, Default)]
struct Playing {
    generation: Mutex<u64>,
    changed: Condvar,
}

impl Control {
    pub fn new(backend: Arc<dyn Backend>) -> Control {
        Control { backend, playing: Arc::default() }
    }

    pub fn cut(&self, link: &str, direction: Direction) -> Result<(), ControlError> {
        self.change(link, direction, Change::Cut)
    }

    pub fn heal(&self, link: &str, direction: Direction) -> Result<(), ControlError> {
        self.change(link, direction, Change::Heal)
    }

    pub fn change(&self, link: &str, direction: Direction, change: Change) -> Result<(), ControlError> {
        tracing::info!(link, ?direction, ?change, "link changed");
        self.backend.change(link, direction, &change)
    }

    pub fn show(&self) -> Result<Vec<LinkStatus>, ControlError> {
        self.backend.show()
    }

    pub fn places(&self) -> Vec<PlaceStatus> {
        self.backend.places()
    }

    pub fn routes(&self) -> Vec<RouteStatus> {
        self.backend.routes()
    }

    /// Runs a script from now on, on a thread of its own; a script that was running stops where it is. Every link that
    /// the script names must exist.
    pub fn play(&self, script: Script) -> Result<(), ControlError> {
        let links = self.show()?;
        for step in script.steps() {
            if !links.iter().any(|link| link.name == step.link) {
                let known: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
                return Err(ControlError::UnknownLink { name: step.link.clone(), known: known.join(", ") });
            }
        }
        let begun = Instant::now();
        let generation = self.stop_playing();
        let control = self.clone();
        std::thread::Builder::new()
            .name("netem-script".to_owned())
            .spawn(move || control.run(&script, begun, generation))
            .map_err(ControlError::Io)?;
        Ok(())
    }

    /// Stops the running script, if any, where it is.
    pub fn stop_playing(&self) -> u64 {
        let mut generation = self.playing.generation.lock();
        *generation += 1;
        self.playing.changed.notify_all();
        *generation
    }

    fn run(&self, script: &Script, begun: Instant, mine: u64) {
        for step in script.steps() {
            let due = begun + step.at;
            let mut generation = self.playing.generation.lock();
            while *generation == mine && !self.playing.changed.wait_until(&mut generation, due).timed_out() {}
            if *generation != mine {
                return;
            }
            // Under the lock: once `stop_playing` has returned, the old script changes nothing more.
            if let Err(error) = self.change(&step.link, step.direction, step.change.clone()) {
                tracing::error!(%error, "a step of the fault script failed");
            }
        }
    }

    /// What a line of the control connection asks for; `Stop` is the daemon's own business.
    pub fn answer(&self, request: Request) -> Response {
        let done = match request {
            Request::Show => match self.show() {
                Ok(links) => return Response::Links(links),
                Err(error) => Err(error),
            },
            Request::Places => return Response::Places(self.places()),
            Request::Routes => return Response::Routes(self.routes()),
            Request::Change { link, direction, change } => self.change(&link, direction, change),
            Request::Play { script } => match script.parse() {
                Ok(script) => self.play(script),
                Err(error) => return Response::Error(format!("{error}")),
            },
            Request::Stop => {
                self.stop_playing();
                Ok(())
            }
        };
        match done {
            Ok(()) => Response::Ok(true),
            Err(error) => Response::Error(error.to_string()),
        }
    }
}
