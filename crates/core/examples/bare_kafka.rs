//! The least that reading Kafka can cost: a loop on the client library that drops what it is given.
//!
//! `bare_kafka SERVERS TOPIC PARTITIONS RECORDS` prints how many records were read, and wall and CPU seconds.

use std::ffi::CString;
use std::time::Instant;

use millstream_core::kafka::client::Client;
use rdkafka::bindings as ffi;

const BULK: usize = 10_000;

fn cpu_seconds() -> f64 {
    let ticks = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = ticks
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    // User and system time, in hundredths of a second.
    (field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / 100.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, topic, partitions, records] = arguments.as_slice() else {
        panic!("bare_kafka SERVERS TOPIC PARTITIONS RECORDS");
    };
    let (partitions, records): (i32, usize) = (
        partitions.parse().expect("a number"),
        records.parse().expect("a number"),
    );
    let client = Client::consumer(&[
        ("bootstrap.servers", servers),
        ("fetch.queue.backoff.ms", "2"),
        ("fetch.wait.max.ms", "100"),
        ("queued.min.messages", "20000"),
        ("queued.max.messages.kbytes", "16384"),
        ("enable.auto.commit", "false"),
    ])
    .expect("options that work");
    let name = CString::new(topic.as_str()).expect("no zero byte");
    let mut buffer = vec![std::ptr::null_mut(); BULK];
    let (began, cpu_before) = (Instant::now(), cpu_seconds());
    let (mut count, mut bytes) = (0, 0);
    // SAFETY: client, topic and queue live until the end; the messages are destroyed once.
    unsafe {
        let topic = ffi::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), std::ptr::null_mut());
        let queue = ffi::rd_kafka_queue_new(client.as_ptr());
        for partition in 0..partitions {
            ffi::rd_kafka_consume_start_queue(topic, partition, 0, queue);
        }
        while count < records {
            let got =
                ffi::rd_kafka_consume_batch_queue(queue, 1000, buffer.as_mut_ptr(), BULK).max(0);
            for message in &buffer[..got as usize] {
                bytes += (**message).len;
                ffi::rd_kafka_message_destroy(*message);
            }
            count += got as usize;
        }
    }
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    println!("{count} {wall} {cpu} {bytes}");
}
