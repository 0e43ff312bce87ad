//! What `up` prints when the stack is ready: where everything is and a first command to try.

use crate::console;
use crate::services::services;
use crate::state::StackState;

/// As the README has it.
const FIRST_COMMAND: &str = r#"
A first command, and the query that sees it:
  . .stack/dev.env
  curl -sS "$TRADEWIND_COMMAND_URL/v1/products" \
    -H "Authorization: Bearer $TRADEWIND_OPERATOR_KEY" \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: first-product' \
    -d '{"sku": "TEA-1", "name": "Darjeeling", "department": "TEA", "price": {"amount": 450, "currency": "EUR"}}'
  curl -sS "$TRADEWIND_QUERY_URL/v1/products/by-sku/TEA-1" \
    -H "Authorization: Bearer $TRADEWIND_OPERATOR_KEY" -H "Tradewind-Position: <position>""#;

pub fn print(state: &StackState) {
    for service in services(state.ports.nodes.len()) {
        console::line(&format!("{:<14} {}/docs", service.part, service.url(state)));
    }
    console::line(FIRST_COMMAND);
}
