//! What a command was accepted with is what its readers find: of every command of the command API, in
//! the documents of the query API, in the log where no document shows it, and in a verification of all
//! read models.
#![expect(clippy::expect_used, reason = "a test that cannot go on says what it lacked")]

mod carts;
mod checkout;
mod keys;
mod parked;
mod payments;
mod products;
mod sent;
mod shelf;
mod stock;
mod tried;
mod wish_lists;

use tests::harness::Stack;

use tried::Tried;

/// Of each command.
const CASES: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_command_was_accepted_with_is_shown_and_proved() {
    let stack = Stack::start().await;
    let tried = Tried::new(&stack);
    let poisoned = parked::poison(&stack).await;
    tokio::join!(
        products::try_all(&tried),
        stock::try_all(&tried),
        stock::try_batches(&tried),
        carts::try_all(&tried),
        payments::try_all(&tried),
        keys::try_all(&tried),
        parked::try_all(&tried, &poisoned),
        wish_lists::try_all(&tried),
    );
    tried.covers_the_contract().await;
    tried.left_all_well().await;
    stack.finish().await;
}
