//! A thread that asks for topics and offsets again and again, so that a batch is planned without waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use super::error::{Kind, Result};
use super::offsets::{self, EARLIEST, LATEST, Offset};
use super::topics::{self, Topic};

/// How long one question may take before it is asked again.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How often last offsets are asked for where nobody wants to know them.
const PERIOD: Duration = Duration::from_secs(1);

/// Pause after a question that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// First and last offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The first offset that is there.
    pub low: i64,
    /// The offset after the last record that can be read.
    pub high: i64,
    /// The epoch of the leader that said so.
    pub epoch: i32,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Grows with each change of the topics.
    pub topics_version: u64,
    /// Grows with each change of an end.
    pub ends_version: u64,
    /// How often all questions about topics were answered.
    pub topics_asked: u64,
    /// The topics that are watched.
    pub topics: Vec<Topic>,
    /// All names, where they are asked for.
    pub names: Vec<String>,
    /// By topic and partition.
    pub ends: BTreeMap<(String, i32), Ends>,
}

#[derive(Debug, Default)]
struct State {
    watched: Vec<String>,
    known: Known,
    asked_for_topics: bool,
    /// Tickets for last offsets: the newest that was given out, and the newest whose question was answered.
    ticket: u64,
    answered: u64,
    /// When last offsets are asked for besides, because somebody will want to know them then.
    early: Option<Instant>,
    /// When the question was sent that is under way, and the newest one that was answered.
    sent: Option<Instant>,
    known_at: Option<Instant>,
    stopped: bool,
}

struct Shared {
    client: Client,
    lists_names: bool,
    refresh: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A watch over topics and their offsets. The thread ends when this is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watch {
    /// Make a watch that does not run yet.
    ///
    /// `refresh` is how often topics and first offsets are asked for; `lists_names`: the names of all topics too.
    pub fn new(options: &[(&str, &str)], refresh: Duration, lists_names: bool) -> Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                client: Client::consumer(options)?,
                lists_names,
                refresh,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            thread: Mutex::default(),
        })
    }

    /// The client, for questions of other kinds.
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Start the thread, once.
    pub fn start(&self) {
        let mut thread = self
            .thread
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let named = std::thread::Builder::new().name("millstream-kafka".to_owned());
            *thread = named.spawn(move || run(&shared)).ok();
        }
    }

    /// Name the topics to watch, and have them asked for soon.
    pub fn watch(&self, topics: Vec<String>) {
        let mut state = self.shared.lock();
        let State { watched, known, .. } = &mut *state;
        *watched = topics;
        known.ends.retain(|(topic, _), _| watched.contains(topic));
        state.asked_for_topics = true;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Have topics and first offsets asked for soon.
    pub fn ask_for_topics(&self) {
        self.shared.lock().asked_for_topics = true;
        self.shared.changed.notify_all();
    }

    /// Have last offsets asked for so long from now, besides.
    pub fn ask_in(&self, after: Duration) {
        self.shared.lock().early = Some(Instant::now() + after);
        self.shared.changed.notify_all();
    }

    /// Have last offsets asked for, and wait for the answer for at most `timeout`.
    ///
    /// A question that was sent within the last `fresh` is as good as a new one. While an earlier question is not
    /// answered there is no wait: the brokers are slow or gone.
    ///
    /// Returns whether the answer is there.
    pub fn ask_for_ends(&self, timeout: Duration, fresh: Duration) -> bool {
        let deadline = topics::Deadline::after(timeout);
        let since = Instant::now().checked_sub(fresh);
        let is_fresh = |sent: Option<Instant>| sent.is_some() && !fresh.is_zero() && sent >= since;
        let mut state = self.shared.lock();
        if is_fresh(state.known_at) {
            return true;
        }
        let waits = state.answered == state.ticket;
        let under_way = is_fresh(state.sent);
        if !under_way {
            state.ticket += 1;
            self.shared.changed.notify_all();
        }
        let ticket = state.ticket;
        let is_answered = |state: &State| {
            if under_way {
                is_fresh(state.known_at)
            } else {
                state.answered >= ticket
            }
        };
        while waits && !is_answered(&state) && !state.stopped && !deadline.left().is_zero() {
            state = match self.shared.changed.wait_timeout(state, deadline.left()) {
                Ok((state, _)) => state,
                Err(error) => error.into_inner().0,
            };
        }
        is_answered(&state)
    }

    /// Look at what is known.
    pub fn with<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.shared.lock().known)
    }

    /// Ask for topics and all offsets in this thread, again and again while brokers do not answer.
    pub fn ask_now(&self, timeout: Duration) -> Result<()> {
        let deadline = topics::Deadline::after(timeout);
        loop {
            let answer = ask_topics(&self.shared, deadline)
                .and_then(|()| ask_ends(&self.shared, true, deadline));
            match answer {
                Err(error) if error.kind == Kind::Unavailable && !deadline.left().is_zero() => {
                    std::thread::sleep(PAUSE.min(deadline.left()));
                }
                answer => return answer,
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        let thread = self.thread.get_mut().ok().and_then(Option::take);
        if let Some(thread) = thread {
            // The last question may still wait for a broker; the thread lets go of the client by itself.
            drop(thread);
        }
    }
}

fn run(shared: &Shared) {
    let mut topics_due = Instant::now();
    loop {
        let sent = Instant::now();
        let (with_topics, ticket) = {
            let mut state = shared.lock();
            let with_topics = state.asked_for_topics || sent >= topics_due;
            state.asked_for_topics = false;
            state.early = state.early.filter(|early| *early > sent);
            state.sent = Some(sent);
            (with_topics, state.ticket)
        };
        let deadline = topics::Deadline::after(QUESTION_TIMEOUT);
        let mut answered = true;
        if with_topics {
            answered = ask_topics(shared, deadline).is_ok();
            topics_due = Instant::now() + shared.refresh;
        }
        if answered && let Err(error) = ask_ends(shared, with_topics, deadline) {
            answered = false;
            // The topic may be gone, or have fewer partitions.
            if error.kind == Kind::UnknownTopic {
                topics_due = topics_due.min(Instant::now() + PAUSE);
            }
        }
        let until = Instant::now() + PERIOD;
        let mut state = shared.lock();
        state.sent = None;
        if answered {
            state.answered = ticket;
            state.known_at = Some(sent);
        }
        shared.changed.notify_all();
        loop {
            let wanted = answered && (state.asked_for_topics || state.ticket > ticket);
            let next = state.early.map_or(until, |early| early.min(until));
            let left = next.saturating_duration_since(Instant::now());
            if state.stopped || wanted || left.is_zero() {
                break;
            }
            state = match shared.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(error) => error.into_inner().0,
            };
        }
        if state.stopped {
            return;
        }
    }
}

fn ask_topics(shared: &Shared, deadline: topics::Deadline) -> Result<()> {
    let names = if shared.lists_names {
        let mut names = topics::names(&shared.client, deadline.left())?;
        names.sort_unstable();
        names
    } else {
        Vec::new()
    };
    let watched = shared.lock().watched.clone();
    let topics = topics::describe(&shared.client, &watched, deadline.left())?;
    let mut state = shared.lock();
    let known = &mut state.known;
    if known.topics != topics || known.names != names {
        known.topics_version += 1;
        // The ends of a topic that was made anew are asked for anew: the old ones are another topic's.
        let stays = |name: &str, number: i32| {
            named(&topics, name).is_some_and(|topic| {
                let before = named(&known.topics, name);
                number < topic.partitions && before.is_none_or(|before| before.id == topic.id)
            })
        };
        let count = known.ends.len();
        known.ends.retain(|(name, number), _| stays(name, *number));
        known.ends_version += u64::from(known.ends.len() < count);
        known.topics = topics;
        known.names = names;
    }
    known.topics_asked += 1;
    Ok(())
}

fn named<'a>(topics: &'a [Topic], name: &str) -> Option<&'a Topic> {
    topics.iter().find(|topic| topic.name == name)
}

fn ask_ends(shared: &Shared, with_low: bool, deadline: topics::Deadline) -> Result<()> {
    let readable: Vec<Topic> = {
        let state = shared.lock();
        let topics = state.known.topics.iter();
        topics
            .filter(|topic| topic.error.is_none())
            .cloned()
            .collect()
    };
    let mut failed = None;
    // One question for all; where it fails, one a topic, so that a topic that is gone does not hide the others.
    if let Err(error) = ask_ends_of(shared, &readable, with_low, deadline) {
        if error.kind == Kind::Unavailable || readable.len() == 1 {
            return Err(error);
        }
        for topic in &readable {
            let one = std::slice::from_ref(topic);
            if let Err(error) = ask_ends_of(shared, one, with_low, deadline) {
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn ask_ends_of(
    shared: &Shared,
    topics: &[Topic],
    with_low: bool,
    deadline: topics::Deadline,
) -> Result<()> {
    let partitions: Vec<(&str, i32)> = topics
        .iter()
        .flat_map(|topic| (0..topic.partitions).map(|number| (topic.name.as_str(), number)))
        .collect();
    let ask = |time: i64| -> Result<Vec<Offset>> {
        let wanted: Vec<_> = partitions
            .iter()
            .map(|(topic, number)| (*topic, *number, time))
            .collect();
        offsets::at(&shared.client, &wanted, deadline.left())
    };
    let highs = ask(LATEST)?;
    let lows = if with_low { Some(ask(EARLIEST)?) } else { None };
    let mut state = shared.lock();
    let known = &mut state.known;
    for (index, ((topic, number), high)) in partitions.iter().zip(highs).enumerate() {
        let key = ((*topic).to_owned(), *number);
        let before = known.ends.get(&key);
        let low = match &lows {
            Some(lows) => lows[index].offset,
            // Not known before the first question about it.
            None => before.map_or(-1, |ends| ends.low),
        };
        let ends = Ends {
            low,
            high: high.offset,
            epoch: high.epoch,
        };
        if before != Some(&ends) {
            known.ends.insert(key, ends);
            known.ends_version += 1;
        }
    }
    Ok(())
}
