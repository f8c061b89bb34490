//! Targets that come and go together.

use sqlx::{Any, AnyConnection, Transaction};

use super::Store;
use crate::proxy::routes::Route;

impl Store {
    /// Takes some targets out and puts others in, all or nothing, and returns the revision of that.
    /// Nothing, and `None`, when one of those to take out is not there any more as it was judged.
    pub(in crate::proxy) async fn replace(
        &self,
        gone: &[&Route],
        new: &[Route],
    ) -> sqlx::Result<Option<i64>> {
        let mut tx = self.database.begin_alone().await?;
        for route in gone {
            if !delete(&mut tx, route).await? {
                return Ok(None);
            }
        }
        for route in new {
            insert(&mut tx, route).await?;
        }
        committed(tx).await.map(Some)
    }
}

/// Takes this very target out, and tells whether it was there. Who owns a host is judged by what
/// this process remembers: meanwhile another may have given the name to somebody else.
pub(super) async fn delete(connection: &mut AnyConnection, route: &Route) -> sqlx::Result<bool> {
    let deleted = sqlx::query(
        "DELETE FROM proxy_targets WHERE hostname = $1 AND owner = $2 AND created_at = $3",
    )
    .bind(route.hostname.clone())
    .bind(route.owner.clone())
    .bind(route.created_at.as_millisecond())
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn insert(connection: &mut AnyConnection, route: &Route) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO proxy_targets (hostname, target_url, owner, tenant, created_by,
            created_at, enable_http, enable_https, auth_enabled)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(route.hostname.clone())
    .bind(route.target_url.clone())
    .bind(route.owner.clone())
    .bind(route.tenant.clone())
    .bind(route.created_by.clone())
    .bind(route.created_at.as_millisecond())
    .bind(i64::from(route.enable_http))
    .bind(i64::from(route.enable_https))
    .bind(i64::from(route.auth_enabled))
    .execute(connection)
    .await
    .map(drop)
}

/// Commits changes of targets, and returns their revision.
pub(super) async fn committed(mut tx: Transaction<'static, Any>) -> sqlx::Result<i64> {
    let raised = sqlx::query_scalar(
        "UPDATE proxy_revision SET changes = changes + 1 WHERE one = 1 RETURNING changes",
    );
    let revision = raised.fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(revision)
}
