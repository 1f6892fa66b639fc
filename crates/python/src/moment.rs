//! The stable hash of dates, times and spans of time, by what `datetime` compares.

use millstream_core::hash::{Kind, Sequence};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::rule::Refusal;

fn int(value: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<i64> {
    value.getattr(name)?.extract()
}

pub fn date(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let py = value.py();
    Ok(Sequence::new(Kind::Date, 3)
        .then_int(int(value, intern!(py, "year"))?)
        .then_int(int(value, intern!(py, "month"))?)
        .then_int(int(value, intern!(py, "day"))?)
        .finish())
}

pub fn date_time(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let py = value.py();
    let days: i64 = value
        .call_method0(intern!(py, "toordinal"))?
        .extract()
        .map_err(Refusal::Raised)?;
    let local_us = days * 86_400_000_000 + time_of_day_us(value)?;
    Ok(match offset_us(value)? {
        None => Sequence::new(Kind::LocalDateTime, 1).then_int(local_us),
        Some(offset_us) => Sequence::new(Kind::Instant, 1).then_int(local_us - offset_us),
    }
    .finish())
}

pub fn time(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let local_us = time_of_day_us(value)?;
    Ok(match offset_us(value)? {
        None => Sequence::new(Kind::LocalTime, 1).then_int(local_us),
        Some(offset_us) => Sequence::new(Kind::OffsetTime, 1).then_int(local_us - offset_us),
    }
    .finish())
}

fn time_of_day_us(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = value.py();
    let minutes = int(value, intern!(py, "hour"))? * 60 + int(value, intern!(py, "minute"))?;
    let seconds = minutes * 60 + int(value, intern!(py, "second"))?;
    Ok(seconds * 1_000_000 + int(value, intern!(py, "microsecond"))?)
}

/// The offset from UTC as datetime's own hash takes it: of the first of two moments that a clock shows twice.
fn offset_us(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let py = value.py();
    if value.getattr(intern!(py, "tzinfo"))?.is_none() {
        return Ok(None);
    }
    let first = if int(value, intern!(py, "fold"))? == 0 {
        value.clone()
    } else {
        let arguments = PyDict::new(py);
        arguments.set_item(intern!(py, "fold"), 0)?;
        value.call_method(intern!(py, "replace"), (), Some(&arguments))?
    };
    let offset = first.call_method0(intern!(py, "utcoffset"))?;
    if offset.is_none() {
        return Ok(None);
    }
    let seconds =
        int(&offset, intern!(py, "days"))? * 86_400 + int(&offset, intern!(py, "seconds"))?;
    Ok(Some(
        seconds * 1_000_000 + int(&offset, intern!(py, "microseconds"))?,
    ))
}

pub fn duration(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let py = value.py();
    Ok(Sequence::new(Kind::Duration, 3)
        .then_int(int(value, intern!(py, "days"))?)
        .then_int(int(value, intern!(py, "seconds"))?)
        .then_int(int(value, intern!(py, "microseconds"))?)
        .finish())
}
