//! Making topics, and how they are configured.

use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_ResourceType_t as ResourceType;
use rdkafka::bindings::rd_kafka_admin_op_t as AdminOp;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::admin;
use super::client::Client;
use super::error::{KafkaError, Kind, Result, text};
use super::list::c_string;
use super::topics::{Deadline, millis, patiently};

/// Between two questions whether a topic that was made is known.
const PAUSE: Duration = Duration::from_millis(10);

/// Make a topic of one partition. One that is there already stays as it is.
pub fn make(
    client: &Client,
    name: &str,
    replicas: i32,
    config: &[(&str, &str)],
    timeout: Duration,
) -> Result<()> {
    let c_name = c_string(name)?;
    let mut message = [0; 512];
    // SAFETY: the name is alive, and copied; what was made is destroyed once, after its use.
    unsafe {
        let mut topic = ffi::rd_kafka_NewTopic_new(
            c_name.as_ptr(),
            1,
            replicas,
            message.as_mut_ptr(),
            message.len(),
        );
        if topic.is_null() {
            return Err(KafkaError::new(Kind::Invalid, text(message.as_ptr())));
        }
        for (key, value) in config {
            let (key, value) = (c_string(key)?, c_string(value)?);
            ffi::rd_kafka_NewTopic_set_config(topic, key.as_ptr(), value.as_ptr());
        }
        let during = format!("making the topic {name}");
        let answer = admin::asked(
            client,
            AdminOp::RD_KAFKA_ADMIN_OP_CREATETOPICS,
            timeout,
            &during,
            |options, queue| {
                ffi::rd_kafka_CreateTopics(client.as_ptr(), &raw mut topic, 1, options, queue);
            },
            |event| {
                let result = ffi::rd_kafka_event_CreateTopics_result(event);
                let mut count = 0;
                let topics = ffi::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
                match ffi::rd_kafka_topic_result_error(*topics) {
                    Code::RD_KAFKA_RESP_ERR_NO_ERROR
                    | Code::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS => Ok(()),
                    code => {
                        let mut error = client.error(code, &during);
                        let said = text(ffi::rd_kafka_topic_result_error_string(*topics));
                        error.text = format!("{}: {said}", error.text);
                        Err(error)
                    }
                }
            },
        );
        ffi::rd_kafka_NewTopic_destroy(topic);
        answer
    }
}

/// Give the configuration of a topic, names and values. One that was just made is waited for: the broker that is asked may
/// hear of it after the one that leads it.
pub fn config(client: &Client, name: &str, timeout: Duration) -> Result<Vec<(String, String)>> {
    patiently(
        timeout,
        |answer| matches!(answer, Err(error) if error.kind == Kind::UnknownTopic),
        || config_now(client, name, timeout),
    )
}

fn config_now(client: &Client, name: &str, timeout: Duration) -> Result<Vec<(String, String)>> {
    let c_name = c_string(name)?;
    let during = format!("asking how the topic {name} is configured");
    // SAFETY: the name is alive, and copied; the resource is destroyed once, after its use.
    unsafe {
        let mut resource = ffi::rd_kafka_ConfigResource_new(
            ResourceType::RD_KAFKA_RESOURCE_TOPIC,
            c_name.as_ptr(),
        );
        let answer = admin::asked(
            client,
            AdminOp::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            timeout,
            &during,
            |options, queue| {
                ffi::rd_kafka_DescribeConfigs(
                    client.as_ptr(),
                    &raw mut resource,
                    1,
                    options,
                    queue,
                );
            },
            |event| {
                let result = ffi::rd_kafka_event_DescribeConfigs_result(event);
                let mut count = 0;
                let found = ffi::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
                let code = ffi::rd_kafka_ConfigResource_error(*found);
                if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return Err(client.error(code, &during));
                }
                let entries = ffi::rd_kafka_ConfigResource_configs(*found, &raw mut count);
                Ok((0..count)
                    .map(|index| {
                        let entry = *entries.add(index);
                        (
                            text(ffi::rd_kafka_ConfigEntry_name(entry)),
                            text(ffi::rd_kafka_ConfigEntry_value(entry)),
                        )
                    })
                    .collect())
            },
        );
        ffi::rd_kafka_ConfigResource_destroy(resource);
        answer
    }
}

/// Give the number of brokers, and of the replicas of a topic's first partition (0: there is none). The leader of a topic
/// that was just made is waited for.
pub fn replicas(client: &Client, name: &str, timeout: Duration) -> Result<(usize, usize)> {
    let deadline = Deadline::after(timeout);
    loop {
        let (brokers, found) = replicas_now(client, name, deadline.left())?;
        if found > 0 || deadline.left().is_zero() {
            return Ok((brokers, found));
        }
        std::thread::sleep(PAUSE.min(deadline.left()));
    }
}

/// Give the number of brokers.
pub fn brokers(client: &Client, timeout: Duration) -> Result<usize> {
    Ok(replicas_now(client, "", timeout)?.0)
}

fn replicas_now(client: &Client, name: &str, timeout: Duration) -> Result<(usize, usize)> {
    // SAFETY: the metadata has as many of everything as its counts say.
    admin::metadata(client, timeout, "asking for brokers", |all| unsafe {
        let found = (0..all.topic_cnt as usize)
            .map(|index| &*all.topics.add(index))
            .find(|topic| {
                text(topic.topic) == name
                    && topic.partition_cnt > 0
                    && (*topic.partitions).leader >= 0
            })
            .map_or(0, |topic| (*topic.partitions).replica_cnt as usize);
        (all.broker_cnt as usize, found)
    })
}

/// Give the name that the cluster has for itself.
pub fn cluster_id(client: &Client, timeout: Duration) -> Result<String> {
    // SAFETY: the client is alive; the text is the library's to free.
    unsafe {
        let id = ffi::rd_kafka_clusterid(client.as_ptr(), millis(timeout));
        if id.is_null() {
            let code = Code::RD_KAFKA_RESP_ERR__TIMED_OUT;
            return Err(client.error(code, "asking for the cluster"));
        }
        let found = text(id);
        ffi::rd_kafka_mem_free(client.as_ptr(), id.cast());
        Ok(found)
    }
}
