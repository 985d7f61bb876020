//! The engines of a plan, over the stepped store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tessera::store::Capabilities;
use tessera::{Component, ConfigurationError, Sessions};

use super::plan::Plan;
use super::store::{Board, BoardClock, BoardRandom, SteppedStore};

/// The store's capabilities in a plan.
pub fn capabilities(plan: &Plan) -> Capabilities {
    let staleness = if plan.is_stale() {
        Duration::from_secs(5)
    } else {
        Duration::ZERO
    };
    Capabilities {
        compare_and_swap: true,
        list_by_owner: true,
        acknowledged_writes_survive_failover: !plan.rolls_back(),
        maximum_staleness: staleness,
        index_staleness: Duration::ZERO,
        minimum_ttl: Duration::ZERO,
        expiry_resolution: Duration::from_millis(1),
        minimum_write_interval: Duration::ZERO,
        maximum_key_bytes: 512,
        maximum_owner_bytes: 512,
        maximum_value_bytes: 1 << 20,
    }
}

/// The id and secret of the key of all engines.
pub const KEY: (&str, [u8; 32]) = ("plan", [7; 32]);

/// The changes of a plan to the default policy, with WIT's names.
pub fn policy(plan: &Plan) -> Map<String, Value> {
    let rules = &plan.rules;
    let changes = [
        ("key-prefix", json!("")),
        // More than the offset or jump of any clock here; beyond it, a token is refused as not valid yet.
        ("clock-skew-ms", json!(60_000)),
        ("rotation-grace-ms", json!(rules.grace)),
        ("sessions-per-subject", json!(rules.cap)),
        (
            "cap-rule",
            json!(if rules.evicts { "evict-oldest" } else { "refuse" }),
        ),
        (
            "reuse-rule",
            json!(if rules.reuse_ends { "end-session" } else { "report" }),
        ),
    ];
    changes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Creates an engine over a board. `seed` makes its random bytes different from those of other engines.
pub(super) fn wire(
    plan: &Plan,
    component: &Component,
    board: &Arc<Board>,
    seed: u64,
) -> Result<Sessions, ConfigurationError> {
    let mut set = Ok(());
    let built = Sessions::builder_with(component.clone())
        .signing_key(KEY.0, KEY.1)
        .instances(1)
        .clock(BoardClock(Arc::clone(board)))
        .random(BoardRandom {
            board: Arc::clone(board),
            seed,
        })
        .policy(|fields| set = fields.set_json(&policy(plan)))
        .build(SteppedStore::new(Arc::clone(board), capabilities(plan)));
    set.and(built)
}

/// The engines of a plan's clients: one for each, or one for all.
///
/// An engine of one client is reused for all runs: its host remembers the text of each version, which is the same in all
/// runs, because a version is derived from the write.
/// An engine that clients share is recreated for each run, because there the calls of one client determine whether the host
/// remembers an open of another.
pub struct Engines {
    pub(super) sessions: Vec<Sessions>,
    pub(super) board: Arc<Board>,
    component: Component,
}

impl Engines {
    /// Creates the engines for all clients of a plan.
    ///
    /// # Errors
    /// If the component refuses the plan's policy.
    pub fn new(plan: &Plan, component: &Component) -> Result<Self, ConfigurationError> {
        let clients = plan.programs.len();
        let board = Arc::new(Board::new(clients, &plan.clocks));
        let engines = if plan.shared { 1 } else { clients };
        let sessions = (0..engines)
            .map(|_| wire(plan, component, &board, 0))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sessions,
            board,
            component: component.clone(),
        })
    }

    /// Prepares for the next run. Recreates a shared engine.
    pub(super) fn begin(&mut self, plan: &Plan) {
        self.board.reset();
        if plan.shared {
            #[expect(
                clippy::expect_used,
                reason = "the same plan was accepted when the engines were made"
            )]
            let cold = wire(plan, &self.component, &self.board, 0).expect("the plan is fit");
            self.sessions = vec![cold];
        }
    }
}
