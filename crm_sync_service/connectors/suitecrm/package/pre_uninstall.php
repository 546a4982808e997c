<?php
/** Takes the fields off the pages again. Cases and Notes themselves stay. */
if (!defined('sugarEntry') || !sugarEntry) {
    die('Not A Valid Entry Point');
}

function pre_uninstall()
{
    try {
        require_once 'ModuleInstall/ModuleInstaller.php';
        $installer = new ModuleInstaller();
        $installer->silent = true;
        foreach (array(@@LAYOUT@@) as $placed) {
            $installer->removeFieldsFromLayout($placed);
        }
    } catch (\Throwable $failure) {
        $GLOBALS['log']->error('Casebridge: take the fields off the layouts in Studio: ' . $failure->getMessage());
    }
}
