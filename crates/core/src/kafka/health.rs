//! Whether a client reaches its brokers. A flood of the same trouble is one event, and its end another.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::error::Kind;

/// Events that wait to be taken; the oldest are dropped.
const EVENTS_MAX: usize = 64;

/// While one of several brokers is down, connecting to it is tried at least this often.
const QUIET: Duration = Duration::from_secs(15);

/// Something that happened to the connections of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `failed` or `recovered`.
    pub kind: &'static str,
    /// One sentence.
    pub detail: String,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    last: Instant,
    errors: u64,
    all_down: bool,
    kind: Kind,
    text: String,
}

#[derive(Debug, Default)]
struct State {
    trouble: Option<Trouble>,
    events: VecDeque<Event>,
}

/// Whether a client reaches its brokers.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

impl Health {
    /// Note an error; the first one since all was well is an event.
    pub fn failed(&self, kind: Kind, all_down: bool, text: &str) {
        let mut state = self.state.lock().expect("nothing panics in the lock");
        let now = Instant::now();
        if let Some(trouble) = &mut state.trouble {
            trouble.errors += 1;
            trouble.last = now;
            trouble.all_down |= all_down;
            // The reason says more than its consequence.
            if trouble.kind == Kind::Unavailable && !all_down {
                trouble.kind = kind;
                text.clone_into(&mut trouble.text);
            }
            return;
        }
        state.trouble = Some(Trouble {
            since: now,
            last: now,
            errors: 1,
            all_down,
            kind,
            text: text.to_owned(),
        });
        push(&mut state.events, "failed", text.to_owned());
    }

    /// Note that a broker has answered.
    pub fn answered(&self) {
        let mut state = self.state.lock().expect("nothing panics in the lock");
        let over = state
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.all_down || trouble.last.elapsed() > QUIET);
        if over && let Some(trouble) = state.trouble.take() {
            let seconds = trouble.since.elapsed().as_secs_f64();
            let errors = trouble.errors;
            push(
                &mut state.events,
                "recovered",
                format!("after {seconds:.1} s and {errors} errors of the client"),
            );
        }
    }

    /// Give kind and text of the trouble there is.
    pub fn trouble(&self) -> Option<(Kind, String)> {
        let state = self.state.lock().expect("nothing panics in the lock");
        let trouble = state.trouble.as_ref()?;
        Some((trouble.kind, trouble.text.clone()))
    }

    /// Take the events since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        let mut state = self.state.lock().expect("nothing panics in the lock");
        state.events.drain(..).collect()
    }
}

fn push(events: &mut VecDeque<Event>, kind: &'static str, detail: String) {
    if events.len() == EVENTS_MAX {
        events.pop_front();
    }
    events.push_back(Event { kind, detail });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(health: &Health) -> Vec<&'static str> {
        health
            .take_events()
            .into_iter()
            .map(|event| event.kind)
            .collect()
    }

    #[test]
    fn a_flood_is_one_event_and_its_end_another() {
        let health = Health::default();
        for _ in 0..900 {
            health.failed(Kind::Unavailable, false, "connection refused");
            health.failed(Kind::Unavailable, true, "all brokers are down");
        }
        assert_eq!(kinds(&health), ["failed"]);
        assert_eq!(health.trouble().unwrap().1, "connection refused");
        health.answered();
        health.answered();
        assert_eq!(kinds(&health), ["recovered"]);
        assert!(health.trouble().is_none());
    }

    #[test]
    fn answers_of_other_brokers_do_not_end_the_trouble_with_one() {
        let health = Health::default();
        health.failed(Kind::Unavailable, false, "connection refused");
        health.answered();
        health.failed(Kind::Unavailable, false, "connection refused");
        assert_eq!(kinds(&health), ["failed"]);
    }

    #[test]
    fn the_reason_is_kept_over_its_consequence() {
        let health = Health::default();
        health.failed(Kind::Unavailable, true, "all brokers are down");
        health.failed(Kind::Authentication, false, "wrong password");
        health.failed(Kind::Unavailable, true, "all brokers are down");
        assert_eq!(
            health.trouble(),
            Some((Kind::Authentication, "wrong password".to_owned()))
        );
    }
}
