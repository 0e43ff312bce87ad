//! The whole system through its doors: commands over HTTP, events on Kafka, reads from PostgreSQL.

mod bad_input;
mod checkout;
mod commands;
mod history;
mod idempotency;
mod poison;
mod replay;
mod reshard;
mod shop;
mod values;
