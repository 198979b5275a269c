CREATE TABLE `api_keys` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`active_name` text,
	`hash` text NOT NULL,
	`prefix` text NOT NULL,
	`scopes` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`revoked_at` integer,
	`last_used_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_hash` ON `api_keys` (`hash`);--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_name` ON `api_keys` (`active_name`);--> statement-breakpoint
CREATE TABLE `audit` (
	`seq` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`actor` text NOT NULL,
	`actor_id` integer,
	`actor_name` text,
	`action` text NOT NULL,
	`user_id` integer,
	`connection_id` integer,
	`product` text,
	`ip` text,
	`request_id` text,
	`detail` text,
	`hash` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_user` ON `audit` (`user_id`,`seq`);--> statement-breakpoint
CREATE INDEX `audit_action` ON `audit` (`action`,`seq`);--> statement-breakpoint
CREATE INDEX `audit_at` ON `audit` (`at`);--> statement-breakpoint
CREATE TABLE `audit_head` (
	`id` integer PRIMARY KEY NOT NULL,
	`seq` integer NOT NULL,
	`hash` text NOT NULL,
	`cut_seq` integer NOT NULL,
	`cut_hash` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `identities` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`issuer` text NOT NULL,
	`subject` text NOT NULL,
	`user_id` integer NOT NULL,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `identities_subject` ON `identities` (`issuer`,`subject`);--> statement-breakpoint
CREATE INDEX `identities_user` ON `identities` (`user_id`);--> statement-breakpoint
CREATE TABLE `rates` (
	`bucket` text PRIMARY KEY NOT NULL,
	`count` integer NOT NULL,
	`until` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `rates_until` ON `rates` (`until`);--> statement-breakpoint
CREATE TABLE `sessions` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`hash` text NOT NULL,
	`browser_hash` text,
	`user_id` integer NOT NULL,
	`products` text NOT NULL,
	`return_url` text,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `sessions_hash` ON `sessions` (`hash`);--> statement-breakpoint
CREATE UNIQUE INDEX `sessions_browser` ON `sessions` (`browser_hash`);--> statement-breakpoint
CREATE INDEX `sessions_expires_at` ON `sessions` (`expires_at`);--> statement-breakpoint
CREATE INDEX `sessions_user` ON `sessions` (`user_id`);--> statement-breakpoint
ALTER TABLE `flows` ADD `user_id` integer REFERENCES users(id) ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE `flows` ADD `opener` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `flows_opener` ON `flows` (`opener`,`expires_at`);--> statement-breakpoint
ALTER TABLE `grants` ADD `report_due_at` integer;--> statement-breakpoint
CREATE INDEX `grants_report` ON `grants` (`client_id`,`report_due_at`);--> statement-breakpoint
CREATE TRIGGER `audit_stays` BEFORE UPDATE ON `audit` BEGIN SELECT RAISE(ABORT, 'Audit rows are not changed'); END;--> statement-breakpoint
-- Only what the head has cut off may go, and what a copy into a new database begins anew.
CREATE TRIGGER `audit_remains` BEFORE DELETE ON `audit`
WHEN OLD.`seq` > coalesce((SELECT `cut_seq` FROM `audit_head`), 0) AND NOT EXISTS (SELECT 1 FROM `sqlite_master` WHERE `name` = 'copy_in_progress')
BEGIN SELECT RAISE(ABORT, 'Audit rows are not removed'); END;
