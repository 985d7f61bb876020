//! Clients of connections that come, vanish and come back leave nothing. Longer with `cargo xtask soak-connections`.

use std::io::Write as _;

use tessera_tests::soak::{Plan, SEED, run, serve_node};

/// The heap of the service: a node is this program.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Starts this program as a node.
const NODE: &[&str] = &["a_node_of_the_soak", "--exact", "--ignored", "--nocapture"];

#[test]
fn clients_of_connections_that_have_gone_leave_nothing_at_two_nodes_and_in_redis() {
    let seed = std::env::var("TESSERA_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let report = run(&Plan::short(seed, NODE));
    // Not captured: these are the numbers.
    let _ = std::io::stdout().write_all(report.to_string().as_bytes());
    assert!(report.wrong.is_empty(), "{report}{:#?}", report.wrong);
}

#[test]
#[ignore = "a process of the test above, which starts it"]
fn a_node_of_the_soak() {
    serve_node().expect("a node");
}
