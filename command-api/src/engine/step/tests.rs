//! The machine in a small world: one partition in memory, and deliveries that the test decides.

mod claiming;
mod doubt;
mod hand_over;
mod history;
mod reads;
mod saving;
mod serving;
mod world;

use world::{World, adjust, receive, reserve};
