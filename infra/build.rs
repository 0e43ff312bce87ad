//! `sqlx::migrate!` embeds the migrations; a new file there must be seen by the next build.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
