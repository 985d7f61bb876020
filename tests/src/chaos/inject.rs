//! Injects faults into a store and its services, one after another, and checks that they recover.

use std::time::{Duration, Instant};

use serde_json::json;

use super::caller::{Caller, Said};
use super::faults::{Fault, OF_DATABASES, OF_FILES};
use super::store::Place;
use super::world::World;
use crate::dice::Dice;
use crate::servers::{Gauge, Weather};

/// The maximum number of tries at each instance until all is well after a fault.
const MOST_TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Injects faults for this time. Returns the resource usage of the instances after each kind occurred once, or after
/// half of the time.
pub(super) fn rage(world: &World, place: &Place, seed: u64, load: Duration) -> Vec<Gauge> {
    let (mut dice, began) = (Dice::new(seed, 0), Instant::now());
    let mut prober = Prober {
        caller: Caller::new(world),
        world,
        count: 0,
    };
    let mut deck = Vec::new();
    let mut warm = None;
    while began.elapsed() < load && !world.tally.is_wrong() {
        std::thread::sleep(dice.pause(200, 1000));
        if deck.is_empty() {
            deck = match place {
                Place::File => OF_FILES.to_vec(),
                _ => OF_DATABASES.to_vec(),
            };
            dice.shuffle(&mut deck);
        }
        let Some(fault) = deck.pop() else { continue };
        world.tally.strike(fault);
        strike(world, place, fault, &mut dice);
        prober.wait(fault);
        if warm.is_none() && (deck.is_empty() || began.elapsed() > load / 2) {
            warm = Some(world.gauges());
        }
    }
    warm.unwrap_or_else(|| world.gauges())
}

/// Injects one fault, from its beginning to its end.
fn strike(world: &World, place: &Place, fault: Fault, dice: &mut Dice) {
    let span = dice.pause(200, 2000);
    let last = world.instances.len() - 1;
    let victim = match (fault, place) {
        (Fault::ServiceKilled, Place::Redis(..) | Place::Sql(..)) => last,
        _ => dice.below(last + 1),
    };
    match fault {
        Fault::ServiceKilled => {
            world.instances[victim].kill();
            std::thread::sleep(span);
            world.instances[victim].restart();
        }
        Fault::AllServicesKilled => {
            world.instances.iter().for_each(|instance| instance.kill());
            std::thread::sleep(span);
            world.instances.iter().for_each(|instance| instance.restart());
        }
        Fault::ServicePaused => world.instances[victim].pause(span),
        Fault::Killed => {
            place.kill();
            std::thread::sleep(span);
            place.restart();
        }
        Fault::Cut => place.cut(),
        Fault::HalfAnswered => weather(place, Weather::CutsAnswers, span),
        Fault::Slow => weather(place, Weather::Slow(dice.pause(20, 700)), span),
        Fault::Silent => weather(place, Weather::Silent, span),
        Fault::Closed => weather(place, Weather::Closed, span),
    }
}

fn weather(place: &Place, weather: Weather, span: Duration) {
    place.set(weather);
    std::thread::sleep(span);
    if weather == Weather::Silent {
        // A connection that has lost bytes must not continue.
        place.set(Weather::Closed);
    }
    place.set(Weather::Fine);
}

/// Sends calls to each instance until it has recovered.
struct Prober<'a> {
    world: &'a World,
    caller: Caller<'a>,
    count: u64,
}

impl Prober<'_> {
    fn wait(&mut self, after: Fault) {
        for at in 0..self.world.instances.len() {
            let mut tries = 1;
            while !self.is_well(at) {
                if tries >= MOST_TRIES {
                    let (tally, after) = (&self.world.tally, after.name());
                    return tally.wrong(format!(
                        "{after}: instance {at} has not recovered after {tries} tries"
                    ));
                }
                tries += 1;
                std::thread::sleep(BETWEEN_TRIES);
            }
            self.world
                .tally
                .note(|report| report.most_tries = report.most_tries.max(tries));
        }
    }

    /// Whether a write, a read and the health check succeed.
    fn is_well(&mut self, at: usize) -> bool {
        let token = &self.world.probed;
        self.count += 1;
        let body = json!({ "set": { "probe": self.count } });
        for (what, body) in [
            (("PATCH", "/v1/session"), Some(&body)),
            (("GET", "/v1/session"), None),
            (("GET", "/healthz"), None),
        ] {
            let asked = self.caller.begin(at);
            match self.caller.call(asked, what, token, body) {
                Said::Done(..) => {}
                Said::NotLoggedIn(_) => {
                    self.world.tally.wrong("the probed session: not logged in".into());
                }
                Said::Refused | Said::Unknown | Said::Lingering => return false,
            }
        }
        true
    }
}
