//! Where money is taken.

use std::future::Future;
use std::pin::Pin;

use sha2::{Digest, Sha256};

/// What is to be charged.
#[derive(Clone, Debug)]
pub struct Charge {
    /// The same for every attempt at the same charge: a gateway takes money once for it.
    pub key: String,
    /// In minor units.
    pub amount: i64,
    pub currency: String,
}

/// Why a charge did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ChargeError {
    /// It never will: the payer has to do something.
    #[error("the charge was declined")]
    Declined,
    /// Nobody knows; the same charge may be tried again.
    #[error("the gateway cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The id of the transaction, or why there is none.
pub type Charged<'a> = Pin<Box<dyn Future<Output = Result<String, ChargeError>> + Send + 'a>>;

/// Somebody who takes money.
pub trait Gateway: Send + Sync + 'static {
    /// Takes the money, once per key.
    fn charge<'a>(&'a self, charge: &'a Charge) -> Charged<'a>;
}

/// Takes no real money. Declines amounts that end in `.02`, as the test modes of real gateways
/// decline certain cards, and remembers nothing: the transaction follows from the key.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestGateway;

impl Gateway for TestGateway {
    fn charge<'a>(&'a self, charge: &'a Charge) -> Charged<'a> {
        Box::pin(std::future::ready(if charge.amount % 100 == 2 {
            Err(ChargeError::Declined)
        } else {
            let digest = Sha256::digest(charge.key.as_bytes());
            let name: String = digest[..12].iter().map(|b| format!("{b:02x}")).collect();
            Ok(format!("test_{name}"))
        }))
    }
}
