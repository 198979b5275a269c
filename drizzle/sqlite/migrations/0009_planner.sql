ALTER TABLE `connections` ADD `routine_points` integer;--> statement-breakpoint
ALTER TABLE `connections` ADD `listing_points` integer;--> statement-breakpoint
ALTER TABLE `connections` ADD `full_points` integer;--> statement-breakpoint
ALTER TABLE `budgets` ADD `app` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `budgets` ADD `scope` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `budgets` ADD `target` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `budgets` ADD `reason` text;--> statement-breakpoint
ALTER TABLE `budgets` ADD `quota` integer;