CREATE TABLE `connections` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`user_id` integer NOT NULL,
	`provider` text NOT NULL,
	`grant_id` text NOT NULL,
	`sites` text NOT NULL,
	`connected_at` integer NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`grant_id`) REFERENCES `grants`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `connections_user_provider` ON `connections` (`user_id`,`provider`);--> statement-breakpoint
CREATE INDEX `connections_grant` ON `connections` (`grant_id`);--> statement-breakpoint
CREATE TABLE `flows` (
	`state_hash` text PRIMARY KEY NOT NULL,
	`provider` text NOT NULL,
	`client_id` text NOT NULL,
	`redirect_uri` text NOT NULL,
	`caller_state` text,
	`return_url` text,
	`browser_hash` text,
	`expires_at` integer NOT NULL,
	`code_hash` text,
	`claimed_at` integer,
	`outcome` text
);
--> statement-breakpoint
CREATE INDEX `flows_expires_at` ON `flows` (`expires_at`);--> statement-breakpoint
CREATE TABLE `grants` (
	`id` text PRIMARY KEY NOT NULL,
	`client_id` text NOT NULL,
	`account_id` text NOT NULL,
	`scopes` text NOT NULL,
	`state` text NOT NULL,
	`access_token` text NOT NULL,
	`refresh_token` text,
	`access_expires_at` integer NOT NULL,
	`consented_at` integer NOT NULL,
	`version` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `grants_client_account` ON `grants` (`client_id`,`account_id`);--> statement-breakpoint
CREATE TABLE `pages` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`owner_id` integer NOT NULL,
	`site` text NOT NULL,
	`remote_id` text NOT NULL,
	`url` text,
	`revision` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`space_key` text NOT NULL,
	`page_id` text NOT NULL,
	`title` text NOT NULL,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `pages_remote` ON `pages` (`owner_id`,`site`,`remote_id`);--> statement-breakpoint
CREATE INDEX `pages_by_title` ON `pages` (`owner_id`,`title`,`id`);--> statement-breakpoint
CREATE TABLE `projects` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`owner_id` integer NOT NULL,
	`site` text NOT NULL,
	`remote_id` text NOT NULL,
	`url` text,
	`revision` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`key` text NOT NULL,
	`name` text NOT NULL,
	`lead` text,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `projects_remote` ON `projects` (`owner_id`,`site`,`remote_id`);--> statement-breakpoint
CREATE INDEX `projects_by_key` ON `projects` (`owner_id`,`key`,`id`);--> statement-breakpoint
CREATE TABLE `runs` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`owner_id` integer NOT NULL,
	`provider` text NOT NULL,
	`state` text NOT NULL,
	`active_key` text,
	`seen` integer NOT NULL,
	`added` integer NOT NULL,
	`changed` integer NOT NULL,
	`calls` integer NOT NULL,
	`error_code` text,
	`error_detail` text,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`finished_at` integer,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `runs_active` ON `runs` (`active_key`);--> statement-breakpoint
CREATE INDEX `runs_owner` ON `runs` (`owner_id`,`provider`,`id`);--> statement-breakpoint
CREATE TABLE `users` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`email` text NOT NULL,
	`email_key` text NOT NULL,
	`display_name` text,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `users_email_key` ON `users` (`email_key`);