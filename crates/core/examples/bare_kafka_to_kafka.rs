//! The least that reading Kafka and writing it again can cost: a loop on the client library, without an engine.
//!
//! `bare_kafka_to_kafka SERVERS SOURCE TARGET PARTITIONS INTERVAL_MS` runs until its standard input ends. With an
//! interval it takes what is there at each multiple of it, writes it, and waits until the broker has it, as batches at
//! least once do; with 0 it hands on what comes when it comes, and waits for nothing.

use std::ffi::CString;
use std::io::Read;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millstream_core::kafka::client::Client;
use rdkafka::bindings as ffi;

const BULK: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, source, target, partitions, interval_ms] = arguments.as_slice() else {
        panic!("bare_kafka_to_kafka SERVERS SOURCE TARGET PARTITIONS INTERVAL_MS");
    };
    let partitions: i32 = partitions.parse().expect("a number");
    let interval = Duration::from_millis(interval_ms.parse().expect("a number"));
    let reading = [
        ("bootstrap.servers", servers.as_str()),
        ("fetch.queue.backoff.ms", "2"),
        ("fetch.wait.max.ms", "100"),
        ("enable.auto.commit", "false"),
    ];
    let writing = [
        ("bootstrap.servers", servers.as_str()),
        ("enable.idempotence", "true"),
        ("linger.ms", if interval.is_zero() { "0" } else { "1" }),
        ("partitioner", "murmur2_random"),
    ];
    let reader = Client::consumer(&reading).expect("options that work");
    let writer = Client::producer(&writing).expect("options that work");
    let ended = end_of_input();
    let mut buffer = vec![ptr::null_mut::<ffi::rd_kafka_message_t>(); BULK];
    // SAFETY: clients, topics and queue live until the end; what is written is copied, and then destroyed once.
    unsafe {
        let from = topic(&reader, source);
        let to = topic(&writer, target);
        let queue = ffi::rd_kafka_queue_new(reader.as_ptr());
        for partition in 0..partitions {
            ffi::rd_kafka_consume_start_queue(from, partition, 0, queue);
        }
        while !ended.load(Ordering::Relaxed) {
            if !interval.is_zero() {
                std::thread::sleep(until_next(interval));
            }
            // What comes when it comes is waited for, one message; then the others that are there are taken.
            if interval.is_zero() {
                forward(queue, to, 10, &mut buffer[..1]);
            }
            while forward(queue, to, 0, &mut buffer) == BULK {}
            if !interval.is_zero() {
                ffi::rd_kafka_flush(writer.as_ptr(), 10_000);
            }
        }
        ffi::rd_kafka_flush(writer.as_ptr(), 10_000);
    }
}

/// Take messages, and write them; give how many there were.
unsafe fn forward(
    queue: *mut ffi::rd_kafka_queue_t,
    to: *mut ffi::rd_kafka_topic_t,
    wait_ms: i32,
    buffer: &mut [*mut ffi::rd_kafka_message_t],
) -> usize {
    // SAFETY: the caller's promise; the buffer has room for as many as are asked for.
    unsafe {
        let got =
            ffi::rd_kafka_consume_batch_queue(queue, wait_ms, buffer.as_mut_ptr(), buffer.len());
        let got = usize::try_from(got).unwrap_or(0);
        let mut messages: Vec<ffi::rd_kafka_message_t> = buffer[..got]
            .iter()
            .map(|message| ffi::rd_kafka_message_t {
                rkt: ptr::null_mut(),
                partition: -1,
                offset: 0,
                _private: ptr::null_mut(),
                ..**message
            })
            .collect();
        ffi::rd_kafka_produce_batch(
            to,
            -1,
            ffi::RD_KAFKA_MSG_F_COPY,
            messages.as_mut_ptr(),
            got as i32,
        );
        for message in &buffer[..got] {
            ffi::rd_kafka_message_destroy(*message);
        }
        got
    }
}

fn topic(client: &Client, name: &str) -> *mut ffi::rd_kafka_topic_t {
    let name = CString::new(name).expect("no zero byte");
    // SAFETY: the client is alive; the name is copied.
    unsafe { ffi::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), ptr::null_mut()) }
}

fn until_next(interval: Duration) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock that was set");
    let past = now.as_nanos() % interval.as_nanos();
    let past = u64::try_from(past).expect("less than an interval");
    interval.saturating_sub(Duration::from_nanos(past))
}

/// Say when standard input has ended, as it does with the process that holds its other end.
fn end_of_input() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&ended);
    std::thread::spawn(move || {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        tell.store(true, Ordering::Relaxed);
    });
    ended
}
