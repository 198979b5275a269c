CREATE TABLE `instances` (
	`id` text PRIMARY KEY NOT NULL,
	`host` text NOT NULL,
	`pid` integer NOT NULL,
	`version` text NOT NULL,
	`started_at` integer NOT NULL,
	`heartbeat_at` integer NOT NULL,
	`key_ids` text NOT NULL,
	`current_key_id` text
);
--> statement-breakpoint
ALTER TABLE `vault_keys` ADD `promotion` integer;--> statement-breakpoint
ALTER TABLE `vault_keys` ADD `promoted_by` text;