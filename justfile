# The steps are those of CI and live in `.ci/run`; this file gives them short names.

verify:
    .ci/run

check STEP:
    .ci/run {{STEP}}

fmt:
    cargo fmt --all

lint: (check "lint")

test: (check "tests")

simulate: (check "simulate")

end-to-end: (check "end_to_end")

contract: (check "contract")

doc:
    cargo doc --workspace --no-deps
