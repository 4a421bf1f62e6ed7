//! Links between the three nodes, each direction by itself: delay, jitter, loss, copies, cuts.
use crate::random::Random;
use trivet_log::Class;

pub const NODES: usize = 3;

#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Nanoseconds one way.
    pub delay: u64,
    /// Up to this much more, drawn for each message.
    pub jitter: u64,
    /// Of a thousand messages.
    pub loss: u64,
    pub copies: u64,
    pub cut: bool,
    /// What leaves before arrives no earlier.
    pub clogged_until: u64,
    /// Messages of one class arrive in the order in which they left, as on a stream.
    pub ordered: bool,
    /// When the last message of each class arrives.
    arrives: [u64; 4],
}

impl Link {
    pub fn new(delay: u64) -> Link {
        Link { delay, jitter: 0, loss: 0, copies: 0, cut: false, clogged_until: 0, ordered: true, arrives: [0; 4] }
    }
}

#[derive(Clone, Debug)]
pub struct Network {
    links: [[Link; NODES]; NODES],
}

impl Network {
    /// Round trips: A-B, A-W and B-W.
    pub fn new(regions: u64, witness_a: u64, witness_b: u64) -> Network {
        let mut links = [[Link::new(0); NODES]; NODES];
        for (from, row) in links.iter_mut().enumerate() {
            for (to, link) in row.iter_mut().enumerate() {
                link.delay = match (from, to) {
                    (0, 1) | (1, 0) => regions / 2,
                    (0, 2) | (2, 0) => witness_a / 2,
                    _ => witness_b / 2,
                };
            }
        }
        Network { links }
    }

    pub fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from][to]
    }

    pub fn each(&mut self, mut change: impl FnMut(&mut Link)) {
        self.links.iter_mut().flatten().for_each(&mut change);
    }

    pub fn cut(&mut self, from: usize, to: usize, cut: bool) {
        self.links[from][to].cut = cut;
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.links[from][to].cut
    }

    /// When a message that leaves now arrives: never, once, or twice.
    pub fn arrivals(&mut self, from: usize, to: usize, class: Class, now: u64, random: &mut Random) -> Vec<u64> {
        let link = &mut self.links[from][to];
        if link.cut || random.chance(link.loss) {
            return Vec::new();
        }
        let mut arrivals = Vec::with_capacity(1);
        let copies = 1 + u64::from(random.chance(link.copies));
        for _ in 0..copies {
            let mut at = now.max(link.clogged_until) + link.delay + random.below(link.jitter + 1);
            if link.ordered {
                let last = &mut link.arrives[class as usize];
                at = at.max(*last);
                *last = at;
            }
            arrivals.push(at);
        }
        arrivals
    }
}
