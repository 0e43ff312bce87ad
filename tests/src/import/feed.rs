//! The order of things: products are created, published and stocked before the baskets that sell
//! them; a cart is there before it is checked out. Within a step everything is sent side by side.

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    basket::Basket,
    command::{self, Command},
    demand::Need,
    gateway::Gateway,
    id::ProductNumber,
    input::Input,
    progress::Phase,
};

/// Create, publish, receive stock.
pub const COMMANDS_PER_PRODUCT: u64 = 3;
/// Create a cart, check it out.
pub const COMMANDS_PER_BASKET: u64 = 2;

/// Commands of one request.
const BATCH_COMMANDS: usize = 100;
/// Requests under way at a time.
const BATCHES_UNDER_WAY: usize = 8;

/// Posts the products that the chosen baskets sell.
///
/// # Errors
/// If the command API cannot be reached or refuses a whole batch.
pub async fn products(
    input: &Input,
    seed_stock: Option<u32>,
    gateway: &Gateway,
    phase: &Phase,
) -> Result<()> {
    let batches = input.new_products.chunks(BATCH_COMMANDS).map(|needs| async move {
        let each = |make: &dyn Fn(ProductNumber, &Need) -> Result<Command>| {
            needs.iter().map(|(product, need)| make(*product, need)).collect::<Result<Vec<_>>>()
        };
        let create =
            |product, need: &Need| command::create_product(product, need, &input.catalogue);
        gateway.send(each(&create)?, phase).await?;
        gateway.send(each(&|product, _| command::publish_product(product))?, phase).await?;
        let receive = |product, need: &Need| {
            let sold = u32::try_from(need.units_sold)?;
            command::receive_stock(product, seed_stock.unwrap_or(sold))
        };
        gateway.send(each(&receive)?, phase).await
    });
    stream::iter(batches).buffer_unordered(BATCHES_UNDER_WAY).try_collect().await
}

/// Posts the chosen baskets: a cart and its checkout each.
///
/// # Errors
/// If the file cannot be read, the command API cannot be reached or refuses a whole batch.
pub async fn baskets(input: &Input, gateway: &Gateway, phase: &Phase) -> Result<()> {
    let baskets = input
        .baskets()?
        .filter(|basket| basket.as_ref().map_or(true, |basket| !basket.lines.is_empty()));
    let price_of = |product| input.needs.get(&product).map(|need| need.unit_price);
    stream::iter(baskets)
        .chunks(BATCH_COMMANDS)
        .map(|baskets| async move {
            let baskets: Vec<Basket> = baskets.into_iter().collect::<Result<_>>()?;
            let carts = baskets.iter().map(|basket| command::create_cart(basket, price_of));
            gateway.send(carts.collect::<Result<_>>()?, phase).await?;
            let checkouts = baskets.iter().map(command::check_out);
            gateway.send(checkouts.collect::<Result<_>>()?, phase).await
        })
        .buffer_unordered(BATCHES_UNDER_WAY)
        .try_collect()
        .await
}
