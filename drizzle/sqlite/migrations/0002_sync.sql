CREATE TABLE `checkpoints` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`owner_id` integer NOT NULL,
	`provider` text NOT NULL,
	`site` text NOT NULL,
	`collection` text NOT NULL,
	`pass` integer DEFAULT 0 NOT NULL,
	`complete_pass` integer DEFAULT 0 NOT NULL,
	`earlier_pass` integer DEFAULT 0 NOT NULL,
	`cursor` text,
	`begun_at` integer,
	`listed` integer DEFAULT 0 NOT NULL,
	`listed_before` integer DEFAULT 0 NOT NULL,
	`complete_at` integer,
	`watermark` integer,
	`variant` text DEFAULT '' NOT NULL,
	`retry` text DEFAULT '[]' NOT NULL,
	`held_count` integer DEFAULT 0 NOT NULL,
	`held_at` integer,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `checkpoints_part` ON `checkpoints` (`owner_id`,`provider`,`site`,`collection`);--> statement-breakpoint
CREATE TABLE `feeds` (
	`owner_id` integer PRIMARY KEY NOT NULL,
	`seq` integer NOT NULL,
	`forgotten` integer NOT NULL,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `issues` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`owner_id` integer NOT NULL,
	`site` text NOT NULL,
	`remote_id` text NOT NULL,
	`url` text,
	`revision` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`remote_updated_at` integer,
	`seq` integer DEFAULT 0 NOT NULL,
	`pass` integer DEFAULT 0 NOT NULL,
	`deleted_at` integer,
	`issue_id` text NOT NULL,
	`key` text NOT NULL,
	`project_key` text NOT NULL,
	`summary` text NOT NULL,
	`status` text,
	`issue_type` text,
	`assignee` text,
	`remote_created_at` integer,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `issues_remote` ON `issues` (`owner_id`,`site`,`remote_id`);--> statement-breakpoint
CREATE INDEX `issues_by_key` ON `issues` (`owner_id`,`key`,`id`);--> statement-breakpoint
CREATE INDEX `issues_changes` ON `issues` (`owner_id`,`seq`);--> statement-breakpoint
CREATE INDEX `issues_deleted` ON `issues` (`deleted_at`) WHERE "issues"."deleted_at" is not null;--> statement-breakpoint
CREATE TABLE `spaces` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`owner_id` integer NOT NULL,
	`site` text NOT NULL,
	`remote_id` text NOT NULL,
	`url` text,
	`revision` integer NOT NULL,
	`updated_at` integer NOT NULL,
	`remote_updated_at` integer,
	`seq` integer DEFAULT 0 NOT NULL,
	`pass` integer DEFAULT 0 NOT NULL,
	`deleted_at` integer,
	`space_id` text NOT NULL,
	`key` text NOT NULL,
	`name` text NOT NULL,
	`type` text,
	`status` text,
	FOREIGN KEY (`owner_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `spaces_remote` ON `spaces` (`owner_id`,`site`,`remote_id`);--> statement-breakpoint
CREATE INDEX `spaces_by_key` ON `spaces` (`owner_id`,`key`,`id`);--> statement-breakpoint
CREATE INDEX `spaces_changes` ON `spaces` (`owner_id`,`seq`);--> statement-breakpoint
CREATE INDEX `spaces_deleted` ON `spaces` (`deleted_at`) WHERE "spaces"."deleted_at" is not null;--> statement-breakpoint
ALTER TABLE `connections` ADD `options` text DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE `connections` ADD `sync_due_at` integer;--> statement-breakpoint
CREATE INDEX `connections_sync_due` ON `connections` (`sync_due_at`);--> statement-breakpoint
ALTER TABLE `pages` ADD `remote_updated_at` integer;--> statement-breakpoint
ALTER TABLE `pages` ADD `seq` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `pages` ADD `pass` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `pages` ADD `deleted_at` integer;--> statement-breakpoint
ALTER TABLE `pages` ADD `status` text;--> statement-breakpoint
ALTER TABLE `pages` ADD `body` text;--> statement-breakpoint
ALTER TABLE `pages` ADD `body_text` text;--> statement-breakpoint
CREATE INDEX `pages_changes` ON `pages` (`owner_id`,`seq`);--> statement-breakpoint
CREATE INDEX `pages_deleted` ON `pages` (`deleted_at`) WHERE "pages"."deleted_at" is not null;--> statement-breakpoint
ALTER TABLE `projects` ADD `remote_updated_at` integer;--> statement-breakpoint
ALTER TABLE `projects` ADD `seq` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `projects` ADD `pass` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `projects` ADD `deleted_at` integer;--> statement-breakpoint
CREATE INDEX `projects_changes` ON `projects` (`owner_id`,`seq`);--> statement-breakpoint
CREATE INDEX `projects_deleted` ON `projects` (`deleted_at`) WHERE "projects"."deleted_at" is not null;--> statement-breakpoint
ALTER TABLE `runs` ADD `mode` text DEFAULT 'due' NOT NULL;--> statement-breakpoint
ALTER TABLE `runs` ADD `worker` text;--> statement-breakpoint
ALTER TABLE `runs` ADD `lease_until` integer;--> statement-breakpoint
ALTER TABLE `runs` ADD `parked_until` integer;--> statement-breakpoint
ALTER TABLE `runs` ADD `removed` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `runs` ADD `held` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `runs` ADD `skipped` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `runs` ADD `points` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `runs` ADD `progress` text;--> statement-breakpoint
ALTER TABLE `runs` ADD `done` text DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE `runs` ADD `failures` text DEFAULT '[]' NOT NULL;--> statement-breakpoint
CREATE INDEX `runs_finished` ON `runs` (`finished_at`);--> statement-breakpoint
UPDATE `projects` SET `seq` = `id` * 2;--> statement-breakpoint
UPDATE `pages` SET `seq` = `id` * 2 + 1;--> statement-breakpoint
INSERT INTO `feeds` SELECT `owner_id`, max(`seq`), 0 FROM (SELECT `owner_id`, `seq` FROM `projects` UNION ALL SELECT `owner_id`, `seq` FROM `pages`) GROUP BY `owner_id`;--> statement-breakpoint
UPDATE `connections` SET `sync_due_at` = `connected_at`;
