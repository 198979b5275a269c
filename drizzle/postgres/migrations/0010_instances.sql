CREATE TABLE "instances" (
	"id" text PRIMARY KEY NOT NULL,
	"host" text NOT NULL,
	"pid" bigint NOT NULL,
	"version" text NOT NULL,
	"started_at" bigint NOT NULL,
	"heartbeat_at" bigint NOT NULL,
	"key_ids" text NOT NULL,
	"current_key_id" text
);
--> statement-breakpoint
ALTER TABLE "vault_keys" ADD COLUMN "promotion" bigint;--> statement-breakpoint
ALTER TABLE "vault_keys" ADD COLUMN "promoted_by" text;