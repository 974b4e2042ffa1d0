//! Faults: what is done to the system. In: a seeded [`Random`](crate::Random) and what is to be harmed. Out: the fault as
//! data, so that it can be printed, repeated and undone.

mod bound_fields;
mod flip_byte;
mod node_state;

pub use bound_fields::{BoundField, BoundFields, ByteRanges};
pub use flip_byte::FlipByte;
pub use node_state::{StateDamage, damage_state};
