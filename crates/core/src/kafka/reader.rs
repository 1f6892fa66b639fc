//! Reading ranges of Kafka partitions in bulk.
//!
//! A partition that was read once goes on being fetched in the background, up to a bound of the client library, so
//! that the range behind is there when it is asked for. A range that begins elsewhere starts its fetching anew.

use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arrow_array::RecordBatch;

use super::client::Client;
use super::error::Result;
use super::feed::{Feed, LOOK};
use super::list::TopicPartition;

/// What reads ranges of Kafka partitions with one client. Safe from any thread; ranges of different partitions are
/// read side by side.
pub struct Reader {
    feeds: Mutex<HashMap<TopicPartition, Arc<Mutex<Feed>>>>,
    client: Arc<Client>,
}

/// A range that is being read.
pub struct Range {
    feed: Arc<Mutex<Feed>>,
    from: i64,
    until: i64,
}

impl Drop for Range {
    fn drop(&mut self) {
        // One that was given up leaves its turn to others. What it has taken from the library is fetched again.
        let mut feed = lock(&self.feed);
        if feed.turn == Some(self.turn()) {
            feed.turn = None;
            feed.stop();
        }
    }
}

impl Range {
    /// What tells ranges apart: a range does not move while it is being read.
    fn turn(&self) -> usize {
        ptr::from_ref(self).addr()
    }
}

impl Reader {
    /// Make a reader; `options` are those of `Client::consumer`.
    pub fn new(options: &[(&str, &str)]) -> Result<Self> {
        Ok(Self {
            feeds: Mutex::default(),
            client: Arc::new(Client::consumer(options)?),
        })
    }

    /// The client, for its health.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Begin to read the records with offsets from `from` to before `until`.
    pub fn range(&self, topic: &str, partition: i32, from: i64, until: i64) -> Result<Box<Range>> {
        self.stop_idle(topic, partition);
        Ok(Box::new(Range {
            feed: self.feed(topic, partition)?,
            from,
            until,
        }))
    }

    /// Go on reading a range for at most `slice`.
    ///
    /// Returns the columns when the range is read; None when it has to go on. What was read so far is kept.
    pub fn advance(&self, range: &Range, slice: Duration) -> Result<Option<Vec<RecordBatch>>> {
        let mut feed = lock(&range.feed);
        if feed.turn.is_some_and(|turn| turn != range.turn()) {
            // Another range of this partition is not read yet.
            drop(feed);
            std::thread::sleep(slice.min(LOOK));
            return Ok(None);
        }
        feed.turn = Some(range.turn());
        let done = feed.read(range.from, range.until, slice);
        if !matches!(done, Ok(None)) {
            feed.turn = None;
        }
        done
    }

    /// Fetch partitions that will be read, and give up to which offset each is fetched already: the records before it
    /// are here. None where that is not known.
    pub fn follow(&self, positions: &[(String, i32, i64)]) -> Vec<Option<i64>> {
        positions
            .iter()
            .map(|(topic, partition, position)| {
                let feed = self.feed(topic, *partition).ok()?;
                // Why not wait: a range of this partition is being read, and the batch waits for this answer.
                let mut feed = feed.try_lock().ok()?;
                feed.fetched(*position)
            })
            .collect()
    }

    /// Begin to fetch no more: a topic is gone, or was made anew.
    pub fn forget(&self, topic: &str) {
        let mut feeds = lock(&self.feeds);
        feeds.retain(|(name, _), _| name != topic);
    }

    fn feed(&self, topic: &str, partition: i32) -> Result<Arc<Mutex<Feed>>> {
        let mut feeds = lock(&self.feeds);
        if let Some(feed) = feeds.get(&(topic.to_owned(), partition)) {
            return Ok(Arc::clone(feed));
        }
        let feed = Feed::new(Arc::clone(&self.client), topic, partition)?;
        let feed = Arc::new(Mutex::new(feed));
        feeds.insert((topic.to_owned(), partition), Arc::clone(&feed));
        Ok(feed)
    }

    fn stop_idle(&self, topic: &str, partition: i32) {
        let feeds = lock(&self.feeds);
        for ((name, number), feed) in feeds.iter() {
            if (name.as_str(), *number) == (topic, partition) {
                continue;
            }
            if let Ok(mut feed) = feed.try_lock() {
                feed.stop_when_idle();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
