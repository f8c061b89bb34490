//! Where a test may stop a send as `kill -9` would: between two steps, without any clean-up.
//!
//! A release build has neither the places nor a way to name one.

#[cfg(debug_assertions)]
pub(super) use self::points::CrashPoint;
#[cfg(debug_assertions)]
pub use self::points::Step;

/// `crash_at!(platform, TokenRedeemed)`: here a test may stop the send.
macro_rules! crash_at {
    ($platform:expr, $step:ident) => {
        #[cfg(debug_assertions)]
        $platform
            .0
            .crash
            .pass($crate::platform::crash::Step::$step, &$platform.0.db)
            .await;
    };
}
pub(super) use crash_at;

#[cfg(debug_assertions)]
mod points {
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::sync::Notify;

    use crate::platform::Platform;
    use crate::platform::db::Db;

    /// What a send has done when it stops.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Step {
        KeyTaken,
        TokenRedeemed,
        InvitesWritten,
        /// A booking is changed, and nobody was told.
        ChangeWritten,
        /// One mail is out, and nobody wrote that down.
        MailDelivered,
        MailsMarked,
        /// The result is written, and the idempotency key does not know.
        SendFinished,
    }

    #[derive(Default)]
    pub(in super::super) struct CrashPoint(Mutex<Option<(Step, Arc<Notify>)>>);

    impl CrashPoint {
        /// Never returns when this is the step to stop at.
        pub(in super::super) async fn pass(&self, step: Step, db: &Db) {
            let reached = {
                let armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                match &*armed {
                    Some((at, reached)) if *at == step => Some(reached.clone()),
                    _ => None,
                }
            };
            if let Some(reached) = reached {
                db.die();
                reached.notify_one();
                std::future::pending::<()>().await;
            }
        }
    }

    impl Platform {
        /// Stops every send from now on at `step`; what is returned tells when one got there.
        pub fn crash_at(&self, step: Step) -> Arc<Notify> {
            let reached = Arc::new(Notify::new());
            let mut armed = self
                .0
                .crash
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *armed = Some((step, reached.clone()));
            reached
        }
    }
}
