CREATE TABLE `rates` (
	`bucket` text PRIMARY KEY NOT NULL,
	`count` integer NOT NULL,
	`until` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `rates_until` ON `rates` (`until`);--> statement-breakpoint
ALTER TABLE `flows` ADD `opener` text DEFAULT '' NOT NULL;--> statement-breakpoint
CREATE INDEX `flows_opener` ON `flows` (`opener`,`expires_at`);