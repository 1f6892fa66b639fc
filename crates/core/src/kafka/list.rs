//! Lists of Kafka partitions as the client library wants them.

use std::ffi::CString;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::error::{KafkaError, Kind, Result, text};

/// A partition of a topic.
pub type TopicPartition = (String, i32);

/// A list of Kafka partitions, each with an offset.
pub(super) struct PartitionList {
    raw: *mut ffi::rd_kafka_topic_partition_list_t,
}

impl PartitionList {
    /// Make a list of partitions with their offsets.
    pub(super) fn of<'a>(entries: impl Iterator<Item = (&'a str, i32, i64)>) -> Result<Self> {
        // SAFETY: makes an empty list, which is destroyed on drop.
        let raw = unsafe { ffi::rd_kafka_topic_partition_list_new(8) };
        let list = Self { raw };
        for (topic, partition, offset) in entries {
            let topic = c_string(topic)?;
            // SAFETY: the list is alive, and copies the name.
            unsafe {
                let entry =
                    ffi::rd_kafka_topic_partition_list_add(list.raw, topic.as_ptr(), partition);
                (*entry).offset = offset;
            }
        }
        Ok(list)
    }

    /// The list as the client library wants it.
    pub(super) fn as_ptr(&self) -> *mut ffi::rd_kafka_topic_partition_list_t {
        self.raw
    }

    /// Give the partitions of a list of the library.
    ///
    /// # Safety
    /// The list is null or alive.
    pub(super) unsafe fn named(
        list: *const ffi::rd_kafka_topic_partition_list_t,
    ) -> Vec<TopicPartition> {
        if list.is_null() {
            return Vec::new();
        }
        // SAFETY: the list has `cnt` entries, whose names end with a zero.
        unsafe {
            (0..(*list).cnt as usize)
                .map(|index| {
                    let entry = &*(*list).elems.add(index);
                    (text(entry.topic), entry.partition)
                })
                .collect()
        }
    }

    /// Give offset, leader epoch and error of each entry, in the order in which they were added.
    pub(super) fn results(&self) -> Vec<(i64, i32, Code)> {
        // SAFETY: the list is alive, and has `cnt` entries.
        unsafe {
            let list = &*self.raw;
            (0..list.cnt as usize)
                .map(|index| {
                    let entry = list.elems.add(index);
                    let epoch = ffi::rd_kafka_topic_partition_get_leader_epoch(entry);
                    ((*entry).offset, epoch, (*entry).err)
                })
                .collect()
        }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: made by `of`, destroyed once.
        unsafe { ffi::rd_kafka_topic_partition_list_destroy(self.raw) }
    }
}

/// Make text for the client library.
pub(super) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| {
        KafkaError::new(
            Kind::Invalid,
            format!("{text:?} has a zero byte, which no name or option of Kafka can have"),
        )
    })
}
