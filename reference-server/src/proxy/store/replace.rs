//! Targets that come and go together.

use sqlx::AnyConnection;

use super::Store;
use crate::proxy::routes::Route;

impl Store {
    /// Takes some targets out and puts others in, all or nothing.
    pub(in crate::proxy) async fn replace(
        &self,
        gone: &[String],
        new: &[Route],
    ) -> sqlx::Result<()> {
        let mut tx = self.database.begin_alone().await?;
        for hostname in gone {
            sqlx::query("DELETE FROM proxy_targets WHERE hostname = $1")
                .bind(hostname.clone())
                .execute(&mut *tx)
                .await?;
        }
        for route in new {
            insert(&mut tx, route).await?;
        }
        tx.commit().await
    }
}

async fn insert(connection: &mut AnyConnection, route: &Route) -> sqlx::Result<()> {
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
