//! What `up` prints when the stack is ready: where everything is and a first command to try.

use super::console;
use super::services::SERVICES;
use super::state::State;

pub fn print(state: &State) {
    for service in &SERVICES {
        console::line(&format!("{:<14} {}/docs", service.part, service.url(state)));
    }
    console::line(
        "
Try:
  set -a; . .stack/dev.env; set +a
  curl -s $TRADEWIND_COMMAND_URL/v1/products -H \"Authorization: Bearer $TRADEWIND_OPERATOR_KEY\" \\
    -H 'Content-Type: application/json' \\
    -d '{\"sku\": \"tea-1\", \"name\": \"Green tea\", \"price\": {\"amount\": 450, \"currency\": \"USD\"}}'
  curl -s $TRADEWIND_QUERY_URL/v1/products/by-sku/tea-1",
    );
}
