//! How a log line looks: for people, or as one JSON object.
//!
//! Lines that a request causes bear its trace id. It comes from the request's task and not from a
//! span, because a span per request costs more than all the rest of the HTTP layer.

use std::fmt::{self, Write};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{clock::Clock, config::LogFormat, http::trace::RequestContext};

pub(super) struct Lines(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Some(context) = RequestContext::current() {
            let trace_id = context.trace.trace_id();
            fields.rest.insert("trace_id".to_owned(), trace_id.into());
        }
        let (metadata, time) = (event.metadata(), Clock::System.now());
        let (level, target) = (metadata.level(), metadata.target());
        match self.0 {
            LogFormat::Pretty => {
                write!(writer, "{time} {level:>5} {}", fields.message)?;
                for (name, value) in &fields.rest {
                    write!(writer, " {name}={value}")?;
                }
                writeln!(writer, " ({target})")
            }
            LogFormat::Json => {
                let mut object = fields.rest;
                object.insert("time".to_owned(), time.to_string().into());
                object.insert("level".to_owned(), level.as_str().into());
                object.insert("target".to_owned(), target.into());
                object.insert("message".to_owned(), fields.message.into());
                writeln!(writer, "{}", Value::Object(object))
            }
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a String cannot fail.
            write!(self.message, "{value:?}").ok();
        } else {
            self.insert(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.insert(field, value.into());
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }
}

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        self.rest.insert(field.name().to_owned(), value);
    }
}
