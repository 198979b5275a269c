CREATE TABLE `history` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`connection_id` integer NOT NULL,
	`from_state` text,
	`to_state` text NOT NULL,
	`code` text,
	`detail` text,
	`at` integer NOT NULL,
	FOREIGN KEY (`connection_id`) REFERENCES `connections`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `history_connection` ON `history` (`connection_id`,`id`);--> statement-breakpoint
CREATE TABLE `leases` (
	`name` text PRIMARY KEY NOT NULL,
	`owner` text NOT NULL,
	`until` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `vault_keys` (
	`id` text PRIMARY KEY NOT NULL,
	`proof` text NOT NULL,
	`uses` integer NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE `connections` ADD `bound` text DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE `connections` ADD `state` text DEFAULT 'active' NOT NULL;--> statement-breakpoint
ALTER TABLE `connections` ADD `error_code` text;--> statement-breakpoint
ALTER TABLE `connections` ADD `error_detail` text;--> statement-breakpoint
ALTER TABLE `connections` ADD `refused` text DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE `connections` ADD `version` integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE `flows` ADD `scopes` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `flows` ADD `change_account` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `grants` ADD `error_code` text;--> statement-breakpoint
ALTER TABLE `grants` ADD `error_detail` text;--> statement-breakpoint
ALTER TABLE `grants` ADD `key_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `grants` ADD `previous_refresh_token` text;--> statement-breakpoint
ALTER TABLE `grants` ADD `previous_until` integer;--> statement-breakpoint
ALTER TABLE `grants` ADD `rotated_at` integer;--> statement-breakpoint
ALTER TABLE `grants` ADD `attempt_at` integer;--> statement-breakpoint
ALTER TABLE `grants` ADD `due_at` integer;--> statement-breakpoint
ALTER TABLE `grants` ADD `failures` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `grants` ADD `next_try_at` integer;--> statement-breakpoint
ALTER TABLE `grants` ADD `warned_days` integer;--> statement-breakpoint
CREATE INDEX `grants_due` ON `grants` (`due_at`);--> statement-breakpoint
CREATE INDEX `grants_key` ON `grants` (`key_id`,`id`);--> statement-breakpoint
CREATE INDEX `grants_previous` ON `grants` (`previous_until`);--> statement-breakpoint
CREATE INDEX `grants_consented` ON `grants` (`consented_at`);--> statement-breakpoint
UPDATE `grants` SET `key_id` = substr(`access_token`, 4, instr(substr(`access_token`, 4), '.') - 1), `due_at` = `consented_at` + 5184000000;--> statement-breakpoint
UPDATE `connections` SET `bound` = `sites`;
